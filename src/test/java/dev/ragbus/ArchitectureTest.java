// SPDX-License-Identifier: Apache-2.0
package dev.ragbus;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;
import com.tngtech.archunit.lang.conditions.ArchConditions;
import java.security.MessageDigest;
import java.time.Clock;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.Arrays;

/**
 * Dependencies point one way: {@code app → http → (API) ← service → python → jep}, and {@code
 * langchain4j → (API)}.
 */
@AnalyzeClasses(packages = "dev.ragbus", importOptions = ImportOption.DoNotIncludeTests.class)
class ArchitectureTest {
  private static final String API = "dev.ragbus";
  private static final String OURS = "dev.ragbus..";

  @ArchTest
  static final ArchRule apiImportsNoneOfOurs =
      noClasses()
          .that()
          .resideInAPackage(API)
          .should()
          .dependOnClassesThat(resideInAPackage(OURS).and(not(resideInAPackage(API))));

  @ArchTest static final ArchRule pythonImportsTheApiOnly = onlyOf("python", "python");

  @ArchTest
  static final ArchRule serviceImportsTheApiAndPythonOnly = onlyOf("service", "service", "python");

  @ArchTest static final ArchRule httpImportsTheApiOnly = onlyOf("http", "http");

  @ArchTest
  static final ArchRule langchain4jImportsTheApiOnly = onlyOf("langchain4j", "langchain4j");

  @ArchTest
  static final ArchRule onlyTheAdaptersImportLangchain4j =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.ragbus.langchain4j..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("dev.langchain4j..");

  @ArchTest
  static final ArchRule onlyPythonImportsJep =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.ragbus.python..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("jep..");

  @ArchTest
  static final ArchRule onlyHttpImportsVertxWeb =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.ragbus.http..")
          .should()
          .dependOnClassesThat()
          .resideInAPackage("io.vertx.ext.web..");

  /** By reflection too: only the application asks for a class by name. */
  @ArchTest
  static final ArchRule onlyTheApplicationTouchesSignals =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.ragbus.app..")
          .should()
          .dependOnClassesThat()
          .haveNameMatching("(sun|jdk\\.internal)\\.misc\\.Signal.*")
          .orShould()
          .callMethod(Class.class, "forName", String.class)
          .orShould()
          .callMethod(ClassLoader.class, "loadClass", String.class);

  /** But the check of an environment, which is the main class of a process of its own. */
  @ArchTest
  static final ArchRule onlyTheApplicationEndsTheProcess =
      noClasses()
          .that()
          .resideOutsideOfPackage("dev.ragbus.app..")
          .and()
          .doNotHaveFullyQualifiedName("dev.ragbus.python.environment.Preflight")
          .should()
          .callMethod(System.class, "exit", int.class)
          .orShould()
          .callMethod(Runtime.class, "exit", int.class)
          .orShould()
          .callMethod(Runtime.class, "halt", int.class);

  @ArchTest
  static final ArchRule keysAreComparedInConstantTime =
      classes()
          .that()
          .haveFullyQualifiedName("dev.ragbus.http.ApiKeys")
          .should()
          .callMethod(MessageDigest.class, "isEqual", byte[].class, byte[].class)
          .andShould(
              ArchConditions.not(
                  ArchConditions.callMethod(Arrays.class, "equals", byte[].class, byte[].class)));

  @ArchTest
  static final ArchRule noCycles = slices().matching("dev.ragbus.(**)").should().beFreeOfCycles();

  @ArchTest
  static final ArchRule namesAreThingsAndActs =
      classes().should().haveNameNotMatching(".*(Manager|Helper|Utils?|Impl)");

  /** A clock that is set must change nothing: what is timed is timed by {@link System#nanoTime}. */
  @ArchTest
  static final ArchRule theTimeOfDayIsOnlyShown =
      noClasses()
          .that()
          .doNotHaveFullyQualifiedName("dev.ragbus.service.LastRequests")
          .and()
          .doNotHaveFullyQualifiedName("dev.ragbus.service.ServiceMetrics$Function")
          .should()
          .callMethod(System.class, "currentTimeMillis")
          .orShould()
          .callMethod(Instant.class, "now")
          .orShould()
          .callMethod(LocalDateTime.class, "now")
          .orShould()
          .callMethod(Clock.class, "systemUTC");

  private static ArchRule onlyOf(String from, String... to) {
    String[] allowed = new String[to.length + 1];
    allowed[0] = API;
    for (int i = 0; i < to.length; i++) {
      allowed[i + 1] = API + "." + to[i] + "..";
    }
    return noClasses()
        .that()
        .resideInAPackage(API + "." + from + "..")
        .should()
        .dependOnClassesThat(resideInAPackage(OURS).and(not(resideInAnyPackage(allowed))));
  }
}
