// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.io.IOException;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * What applications compile against stays within a minor version: what {@code src/test/api} lists
 * for it is still there, to the letter. What is new may be added at any time, and is promised once
 * it is in the list. A new minor version begins with a list of its own: {@code mvn test
 * -Dtest=ApiTest -Dragbus-api.write=true} writes it.
 */
class ApiTest {
  private static final Set<String> PACKAGES = Set.of("dev.ragbus", "dev.ragbus.langchain4j");
  private static final Set<String> CLASSES =
      Set.of("dev.ragbus.service.RagbusVerticle", "dev.ragbus.http.HttpVerticle");

  @Test
  void whatWasPromisedIsThere() throws IOException {
    Path promised = Path.of("src/test/api", version() + ".txt");
    Set<String> api = api();
    if (Boolean.getBoolean("ragbus-api.write")) {
      Files.createDirectories(promised.getParent());
      Files.write(promised, api);
    }
    assertThat(promised).as("the API of " + version()).exists();

    assertThat(api)
        .as(
            "an incompatible change needs a new minor version, or, where this one is not released,"
                + " -Dragbus-api.write=true")
        .containsAll(Files.readAllLines(promised));
  }

  @Test
  void whatIsListedIsWhatApplicationsUse() throws IOException {
    assertThat(api())
        .contains(
            "interface dev.ragbus.Ragbus",
            "dev.ragbus.Ragbus.withRequestId(java.lang.String): dev.ragbus.Ragbus",
            "dev.ragbus.RagbusException$Kind.OVERLOADED: dev.ragbus.RagbusException$Kind",
            "new dev.ragbus.service.RagbusVerticle()")
        .noneMatch(line -> line.contains("InterpreterLane") || line.contains("lambda$"));
  }

  /** The major and minor version that is being built. */
  private static String version() throws IOException {
    Matcher version =
        Pattern.compile("<artifactId>ragbus</artifactId>\\s*<version>(\\d+\\.\\d+)\\.\\d+(-\\w+)?<")
            .matcher(Files.readString(Path.of("pom.xml")));
    assertThat(version.find()).as("a semantic version").isTrue();
    return version.group(1);
  }

  /** A line for each public class and for each of its members that others may use. */
  private static Set<String> api() {
    return new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("dev.ragbus")
            .stream()
            .filter(it -> PACKAGES.contains(it.getPackageName()) || CLASSES.contains(it.getName()))
            .map(it -> it.reflect())
            .filter(ApiTest::open)
            .flatMap(ApiTest::lines)
            .collect(Collectors.toCollection(TreeSet::new));
  }

  private static boolean open(Class<?> type) {
    return Modifier.isPublic(type.getModifiers())
        && (type.getEnclosingClass() == null || open(type.getEnclosingClass()));
  }

  private static Stream<String> lines(Class<?> type) {
    Stream<String> supertypes =
        Stream.concat(Stream.ofNullable(type.getGenericSuperclass()), types(type))
            .map(it -> type.getName() + " is a " + it.getTypeName());
    Stream<String> constructors =
        Arrays.stream(type.getDeclaredConstructors())
            .filter(ApiTest::usable)
            .map(it -> "new " + type.getName() + parameters(it));
    Stream<String> methods =
        Arrays.stream(type.getDeclaredMethods()).filter(ApiTest::usable).map(ApiTest::line);
    Stream<String> fields =
        Arrays.stream(type.getDeclaredFields())
            .filter(it -> usable(it.getModifiers()) && !it.isSynthetic())
            .map(ApiTest::line);
    return Stream.of(Stream.of(kind(type)), supertypes, constructors, methods, fields)
        .flatMap(it -> it);
  }

  private static Stream<Type> types(Class<?> type) {
    return Arrays.stream(type.getGenericInterfaces());
  }

  private static String kind(Class<?> type) {
    String kind =
        type.isRecord()
            ? "record"
            : type.isEnum() ? "enum" : type.isInterface() ? "interface" : "class";
    boolean isFinal = kind.equals("class") && Modifier.isFinal(type.getModifiers());
    return (isFinal ? "final " : "") + kind + " " + type.getName();
  }

  private static boolean usable(Executable member) {
    return usable(member.getModifiers()) && !member.isSynthetic();
  }

  private static boolean usable(int modifiers) {
    return Modifier.isPublic(modifiers) || Modifier.isProtected(modifiers);
  }

  private static String line(Method method) {
    return (Modifier.isStatic(method.getModifiers()) ? "static " : "")
        + method.getDeclaringClass().getName()
        + "."
        + method.getName()
        + parameters(method)
        + ": "
        + method.getGenericReturnType().getTypeName();
  }

  private static String line(Field field) {
    return field.getDeclaringClass().getName()
        + "."
        + field.getName()
        + ": "
        + field.getGenericType().getTypeName();
  }

  private static String parameters(Executable member) {
    List<Type> types = List.of(member.getGenericParameterTypes());
    return types.stream().map(Type::getTypeName).collect(Collectors.joining(", ", "(", ")"));
  }
}
