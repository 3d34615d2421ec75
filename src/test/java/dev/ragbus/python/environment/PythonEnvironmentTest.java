// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python.environment;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.awaitility.Awaitility.await;

import dev.ragbus.RagbusOptions;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import jep.SharedInterpreter;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
class PythonEnvironmentTest {
  @TempDir Path folder;
  FakePython fake;
  final List<String> progress = Collections.synchronizedList(new ArrayList<>());

  @BeforeEach
  void fakePython() throws IOException {
    fake = FakePython.in(folder.toRealPath());
  }

  PythonEnvironment prepare() throws IOException {
    return PythonEnvironment.prepare(fake.settings(), progress::add, fake.surroundings());
  }

  PythonEnvironment prepareWith(String... extras) throws IOException {
    return PythonEnvironment.prepare(fake.settings(extras), progress::add, fake.surroundings());
  }

  PythonEnvironment prepareGiven(Path environment, String... extras) throws IOException {
    var settings =
        new PythonEnvironment.Settings(
            "python3", Optional.of(environment), folder.resolve("cache"), List.of(extras));
    return PythonEnvironment.prepare(settings, progress::add, fake.surroundings());
  }

  /** The message, which must be one line. */
  String refusal() {
    var thrown = catchThrowableOfType(PythonEnvironmentException.class, this::prepare);
    assertThat(thrown).isNotNull();
    assertThat(thrown.getMessage()).doesNotContain("\n");
    return thrown.getMessage();
  }

  // Making one

  @Test
  void makesAnEnvironmentAndShowsProgress() throws IOException {
    fake.python("python3", "3.12.4");
    PythonEnvironment made = prepare();
    assertThat(made.python()).isExecutable().isEqualTo(made.folder().resolve("bin/python"));
    assertThat(made.jepLibrary()).hasFileName("libjep.so").exists();
    assertThat(made.pythonVersion()).isEqualTo("3.12.4");
    assertThat(made.packageFolder().resolve("ragbus/__init__.py")).exists();
    assertThat(progress)
        .contains(
            "Building jep 4.3.1…",
            "Checking the Python environment…",
            "The Python environment is ready");
    assertThat(fake.log("-I -m pip"))
        .hasSize(2)
        .allMatch(line -> line.contains("install --require-hashes"))
        .satisfiesExactly(
            wheels -> assertThat(wheels).contains("--only-binary :all: --no-deps"),
            jep ->
                assertThat(jep)
                    .contains("--no-build-isolation --no-deps --no-cache-dir --no-binary jep"));
    assertThat(fake.log("-Xmx64m")).singleElement().asString().contains(Preflight.class.getName());
  }

  @Test
  void aReadyEnvironmentStartsNoProcess() throws IOException {
    fake.python("python3", "3.12.4");
    PythonEnvironment first = prepare();
    List<String> before = fake.log("");
    progress.clear();
    assertThat(prepare()).isEqualTo(first);
    assertThat(fake.log("")).isEqualTo(before);
    assertThat(progress).isEmpty();
  }

  @Test
  void otherLocksExtrasOrPythonsHaveOtherEnvironments() throws IOException {
    fake.python("python3", "3.12.4");
    Path first = prepare().folder();
    var withExtra =
        new PythonEnvironment.Settings(
            "python3", Optional.empty(), folder.resolve("cache"), List.of("more", "more"));
    Path second = PythonEnvironment.prepare(withExtra, progress::add, fake.surroundings()).folder();
    Files.writeString(folder.resolve("locks/runtime.lock"), "one==2 --hash=x\n");
    Path third = prepare().folder();
    fake.python("python3", "3.13.1");
    Path fourth = prepare().folder();
    assertThat(List.of(first, second, third, fourth)).doesNotHaveDuplicates();
    assertThat(fake.log("venv")).hasSize(4);
  }

  @Test
  void pipKeepsTheUsersNetworkSettingsButNotItsTargets() throws IOException {
    fake.python("python3", "3.12.4");
    var variables =
        Map.of(
            "PIP_INDEX_URL",
            "mine",
            "PIP_TARGET",
            "/elsewhere",
            "PIP_RETRIES",
            "7",
            "PIP_USER",
            "1");
    PythonEnvironment.prepare(fake.settings(), progress::add, fake.surroundings(variables));
    assertThat(fake.log("index")).hasSize(2).containsOnly("index mine retries 7 user 0 target ");
  }

  @ParameterizedTest
  @CsvSource({"libpython.so", "lib/jep/libjep.so", "lib/jep/version.py", "bin/python"})
  void anEnvironmentThatLostAFileIsMadeAnew(String lost) throws IOException {
    fake.python("python3", "3.12.4");
    PythonEnvironment first = prepare();
    Path file = lost.equals("libpython.so") ? folder.resolve(lost) : first.folder().resolve(lost);
    Files.delete(file);
    if (lost.equals("libpython.so")) {
      assertThat(refusal()).contains("libpython");
    } else {
      assertThat(prepare().folder()).isNotEqualTo(first.folder());
      assertThat(first.folder()).doesNotExist();
    }
  }

  @Test
  void anUpgradedBaseInterpreterIsAskedAgain() throws IOException {
    fake.python("python3", "3.12.4");
    prepare();
    fake.python("python3", "3.12.10");
    assertThat(prepare().pythonVersion()).isEqualTo("3.12.10");
  }

  @Test
  void aBrokenMarkerIsNoMarker() throws IOException {
    fake.python("python3", "3.12.4");
    Path home = prepare().folder().getParent().getParent();
    Files.writeString(home.resolve("ready.properties"), "folder=/x\n");
    assertThat(prepare().folder()).isEqualTo(home.resolve("2/venv"));
  }

  // Extras

  /** What pip installed, lock by lock, and what it removed. */
  private List<String> pipRuns() throws IOException {
    return fake.log("-I -m pip").stream().map(line -> line.replaceAll(".*[ /]", "")).toList();
  }

  @Test
  void anExtraIsAddedToWhatIsThere() throws IOException {
    fake.python("python3", "3.12.4");
    Path base = prepare().folder();
    Path module = Files.writeString(base.resolve("lib/module.so"), "as it was");
    FakePython.script(base.resolve("bin/tool"), "exec " + base + "/bin/python");
    List<String> before = listAll(base);
    Path with = prepareWith("more").folder();

    assertThat(pipRuns()).containsExactly("runtime.lock", "jep.lock", "more.lock");
    assertThat(progress).contains("Adding more to the Python environment");
    assertThat(Files.isSameFile(module, with.resolve("lib/module.so"))).isTrue();
    assertThat(with.resolve("bin/tool")).isExecutable().content().contains(with + "/bin/python");
    assertThat(Files.isSameFile(base.resolve("bin/python"), with.resolve("bin/python"))).isFalse();
    assertThat(listAll(base)).isEqualTo(before);

    ResourceTree.delete(base);
    assertThat(prepareWith("more").folder()).isEqualTo(with);
    assertThat(prepareWith("more").jepLibrary()).exists();
  }

  @Test
  void theEnvironmentWithTheMostExtrasIsTakenOver() throws IOException {
    fake.python("python3", "3.12.4");
    prepare();
    prepareWith("more");
    prepareWith("torch", "more");
    assertThat(pipRuns()).containsExactly("runtime.lock", "jep.lock", "more.lock", "torch.lock");
  }

  @Test
  void aBrokenEnvironmentIsNotTakenOver() throws IOException {
    fake.python("python3", "3.12.4");
    Files.delete(prepare().jepLibrary());
    assertThat(prepareWith("more").jepLibrary()).exists();
    assertThat(pipRuns())
        .containsExactly("runtime.lock", "jep.lock", "runtime.lock", "jep.lock", "more.lock");
  }

  @Test
  void aLargeExtraSaysSoBeforeItBegins() throws IOException {
    fake.python("python3", "3.12.4");
    prepareWith("torch");
    assertThat(progress)
        .anyMatch(line -> line.matches("The extra torch takes about \\d,\\d{3} MB, .*minutes"));
  }

  @Test
  void aLargeExtraWantsRoom() throws IOException {
    fake.python("python3", "3.12.4");
    prepare();
    var usual = fake.surroundings();
    var full =
        new Surroundings(
            usual.variables(), usual.locks(), usual.javaHome(), usual.probeLimit(), at -> 3L << 30);
    for (String[] extras : List.of(new String[] {"torch"}, new String[] {"cuda", "torch"})) {
      assertThatThrownBy(
              () -> PythonEnvironment.prepare(fake.settings(extras), progress::add, full))
          .isInstanceOf(PythonEnvironmentException.class)
          .message()
          .startsWith("python.extras " + List.of(extras) + " needs about ")
          .contains(" has 3,072 MB left")
          .doesNotContain("\n");
    }
    assertThat(pipRuns()).containsExactly("runtime.lock", "jep.lock");
    assertThat(PythonEnvironment.prepare(fake.settings("more"), progress::add, full).python())
        .exists();
  }

  @Test
  void onnxRuntimeWithCudaTakesThePlaceOfTheOther() throws IOException {
    fake.python("python3", "3.12.4");
    prepareWith("cuda");
    assertThat(pipRuns()).containsExactly("runtime.lock", "jep.lock", "onnxruntime", "cuda.lock");
    assertThat(fake.log("-I -m pip"))
        .anyMatch(line -> line.endsWith("uninstall --yes onnxruntime"));
  }

  @Test
  void aGivenEnvironmentMustHaveTheExtras() throws IOException {
    fake.python("python3", "3.12.4");
    Path given = prepare().folder();
    prepareGiven(given);
    assertThat(fake.log("import")).hasSize(2);
    String python = Files.readString(given.resolve("bin/python"));
    String failing = "case \"$*\" in *sentence_tr*) echo No module named torch; exit 1 ;; esac";
    Files.writeString(
        given.resolve("bin/python"), python.replace("\n: ;;", "\n" + failing + " ;;"));
    assertThatThrownBy(() -> prepareGiven(given, "torch"))
        .hasMessageContaining("huggingface_hub, sentence_transformers (No module named torch)")
        .hasMessageEndingWith("install what runtime.lock, torch.lock of python/requirements pin");
    assertThat(prepareGiven(given).folder()).isEqualTo(given);
  }

  @Test
  void theExtrasOfTheOptionsAreThoseThatHaveLocks() throws IOException {
    assertThat(RagbusOptions.Python.EXTRAS)
        .allSatisfy(
            name -> {
              RequirementLocks.shipped().check(List.of(name));
              assertThat(Extra.of(List.of(name))).hasSize(1);
            });
  }

  @Test
  void allShippedLocksAgree() throws IOException {
    RequirementLocks locks = RequirementLocks.shipped();
    Map<String, Set<String>> versions = new HashMap<>();
    for (String name : List.of("runtime", "dev", "cuda", "quantize", "torch")) {
      Files.readAllLines(locks.write(name, folder)).stream()
          .filter(line -> line.matches("[A-Za-z0-9._-]+==.*"))
          .map(line -> line.replaceAll("[ \\\\;].*", "").split("=="))
          .collect(
              Collectors.groupingBy(
                  pin -> pin[0], Collectors.mapping(pin -> pin[1], Collectors.toSet())))
          .forEach(
              (pack, its) ->
                  assertThat(versions.computeIfAbsent(pack, p -> its)).as(pack).isEqualTo(its));
    }
    assertThat(versions).containsKeys("openvino", "torch", "nncf", "onnxruntime-gpu");
  }

  // Two at once, and killed ones

  String waitFor(String fact) {
    return "  touch "
        + folder
        + "/started; while [ ! -e "
        + folder
        + "/"
        + fact
        + " ]; do sleep 0.05; done";
  }

  Process prepareInAnotherJvm() throws IOException {
    String classPath =
        Stream.of(PrepareMain.class, PythonEnvironment.class, SharedInterpreter.class)
            .map(each -> each.getProtectionDomain().getCodeSource().getLocation().getPath())
            .collect(Collectors.joining(File.pathSeparator));
    return new ProcessBuilder(
            System.getProperty("java.home") + "/bin/java",
            "-cp",
            classPath,
            PrepareMain.class.getName(),
            folder.toRealPath().toString())
        .redirectErrorStream(true)
        .redirectOutput(Files.createTempFile(folder, "jvm", ".out").toFile())
        .start();
  }

  String outputs() throws IOException {
    var text = new StringBuilder();
    try (var files = Files.newDirectoryStream(folder, "jvm*.out")) {
      for (Path file : files) {
        text.append(Files.readString(file));
      }
    }
    return text.toString();
  }

  @Test
  void processesAndThreadsAtOnceMakeItOnce() throws Exception {
    fake.python("python3", "3.12.4", Map.of("onVenv", waitFor("go")));
    Process first = prepareInAnotherJvm();
    await().until(() -> Files.exists(folder.resolve("started")));
    Process second = prepareInAnotherJvm();
    List<CompletableFuture<PythonEnvironment>> threads = new ArrayList<>();
    for (int i = 0; i < 2; i++) {
      threads.add(CompletableFuture.supplyAsync(this::prepareUnchecked));
    }
    await().until(() -> progress.size() == 2 && outputs().contains("Waiting for another process"));
    assertThat(progress).allMatch(line -> line.startsWith("Waiting for another process"));
    Files.createFile(folder.resolve("go"));
    assertThat(first.waitFor(30, TimeUnit.SECONDS) && second.waitFor(30, TimeUnit.SECONDS))
        .isTrue();
    Path made = threads.get(0).get().folder();
    assertThat(threads.get(1).get().folder()).isEqualTo(made);
    assertThat(outputs().lines().filter(("made " + made)::equals)).hasSize(2);
    assertThat(fake.log("venv")).hasSize(1);
  }

  private PythonEnvironment prepareUnchecked() {
    try {
      return prepare();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  @Test
  void aHalfMadeOneOfAKilledProcessIsMadeAnew() throws Exception {
    fake.python("python3", "3.12.4", Map.of("onPip", waitFor("go")));
    Process killed = prepareInAnotherJvm();
    await().until(() -> Files.exists(folder.resolve("started")));
    killed.destroyForcibly().waitFor();
    Files.createFile(folder.resolve("go"));
    PythonEnvironment made = prepare();
    assertThat(made.folder().getParent()).hasFileName("2");
    assertThat(made.jepLibrary()).exists();
  }

  @Test
  void anInterruptEndsThePreparationAndItsChildren() throws Exception {
    fake.python("python3", "3.12.4", Map.of("onVenv", waitFor("never")));
    var failure = new CompletableFuture<Throwable>();
    var thread =
        new Thread(
            () -> {
              try {
                prepare();
              } catch (Throwable e) {
                failure.complete(e);
              }
            });
    thread.start();
    await().until(() -> Files.exists(folder.resolve("started")));
    thread.interrupt();
    assertThat(failure.get(20, TimeUnit.SECONDS))
        .isInstanceOf(PythonEnvironmentException.class)
        .hasMessageContaining("Interrupted");
    await()
        .until(
            () ->
                ProcessHandle.current()
                    .descendants()
                    .noneMatch(
                        each -> each.info().commandLine().orElse("").contains(folder.toString())));
  }

  // Finding a Python

  @Test
  void noPythonAtAll() {
    assertThat(refusal())
        .contains(
            "python3 (not found)", "python3.11 (not found)", "install Python 3.11, 3.12 or 3.13");
  }

  @Test
  void wrongOnesArePassedOver() throws IOException {
    fake.python("python3", "3.10.13");
    FakePython.script(fake.bin("python"), "exit 3");
    fake.python("python3.13", "3.13.5", Map.of("free_threaded", "True"));
    assertThat(refusal())
        .contains(
            "python3 (is 3.10.13, not 3.11 to 3.13)",
            "python (does not run: exit code 3)",
            "python3.13 (is a free-threaded build");
    fake.python("python3.12", "3.12.1");
    assertThat(prepare().pythonVersion()).isEqualTo("3.12.1");
    assertThat(progress).first().asString().startsWith("Passing over python3 (is 3.10.13");
  }

  @ParameterizedTest
  @CsvSource({"implementation, pypy, 'is pypy, not CPython'", "machine, riscv128, is for riscv128"})
  void onesOfAnotherKindArePassedOver(String fact, String value, String reason) throws IOException {
    fake.python("python3", "3.12.1", Map.of(fact, value));
    assertThat(refusal()).contains(reason);
  }

  @Test
  void oneThatHangsIsPassedOver() throws IOException {
    FakePython.script(fake.bin("python3"), "sleep 1000");
    var usual = fake.surroundings();
    var impatient =
        new Surroundings(
            usual.variables(),
            usual.locks(),
            usual.javaHome(),
            Duration.ofMillis(300),
            usual.freeBytes());
    assertThatThrownBy(() -> PythonEnvironment.prepare(fake.settings(), progress::add, impatient))
        .hasMessageContaining("python3 (gave no answer in 0.3 s)");
  }

  @Test
  void oneThatIsNoProgramIsPassedOver() throws IOException {
    Path broken = FakePython.script(fake.bin("python3"));
    Files.writeString(broken, "#!/no/such/shell\n");
    assertThat(refusal()).contains("python3 (does not run");
  }

  @Test
  void aPathIsTakenAsItIs() throws IOException {
    fake.python("special", "3.11.9");
    var settings =
        new PythonEnvironment.Settings(
            fake.bin("special").toString(), Optional.empty(), folder.resolve("cache"), List.of());
    var made = PythonEnvironment.prepare(settings, progress::add, fake.surroundings());
    assertThat(made.pythonVersion()).isEqualTo("3.11.9");
  }

  // What else may be missing

  @ParameterizedTest
  @CsvSource({
    "venv, False, apt install python3-venv",
    "headers, '', apt install python3-dev",
    "libpython, '', no shared libpython"
  })
  void aPythonWithoutItsOtherPackages(String fact, String value, String fix) throws IOException {
    fake.python("python3", "3.12.1", Map.of(fact, value));
    assertThat(refusal()).contains(fix);
    assertThat(fake.log("venv")).isEmpty();
  }

  @Test
  void aVenvThatFails() throws IOException {
    fake.python("python3", "3.12.1", Map.of("onVenv", "echo ensurepip is not available; exit 1"));
    assertThatThrownBy(this::prepare)
        .hasMessageContaining("apt install python3-venv")
        .cause()
        .hasMessage("ensurepip is not available");
    try (var left = Files.list(folder.resolve("cache/env"))) {
      assertThat(left.filter(Files::isDirectory).flatMap(PythonEnvironmentTest::list)).isEmpty();
    }
  }

  private static Stream<Path> list(Path folder) {
    return Stream.of(folder.toFile().listFiles()).map(File::toPath);
  }

  @Test
  void noCompiler() throws IOException {
    fake.python("python3", "3.12.1");
    Files.delete(fake.bin("cc"));
    assertThat(refusal()).contains("no cc, gcc or clang", "apt install build-essential");
  }

  @Test
  void aCompilerOfTheUsersThatIsNotThere() throws IOException {
    fake.python("python3", "3.12.1");
    assertThatThrownBy(
            () ->
                PythonEnvironment.prepare(
                    fake.settings(), progress::add, fake.surroundings(Map.of("CC", "tcc -m64"))))
        .hasMessageContaining("CC is 'tcc -m64': not found");
  }

  @ParameterizedTest
  @CsvSource({"bin/javac", "include/jni.h"})
  void aJreWithoutTheRestOfAJdk(String missing) throws IOException {
    fake.python("python3", "3.12.1");
    Files.delete(folder.resolve("jdk").resolve(missing));
    assertThat(refusal()).contains("needs a JDK", "has no " + missing, "not only a JRE");
  }

  @Test
  void aFullDisk() throws IOException {
    fake.python(
        "python3",
        "3.12.1",
        Map.of("onPip", "echo 'OSError: [Errno 28] No space left on device'; exit 1"));
    assertThat(refusal()).contains("The disk is full");
  }

  @Test
  void aFailedBuildShowsTheLastLinesOfItsOutput() throws IOException {
    String fail =
        "case \"$*\" in *jep.lock) i=0; while [ $i -lt 50 ]; do echo line $i; i=$((i+1)); done; exit 1;; esac";
    fake.python("python3", "3.12.1", Map.of("onPip", fail));
    assertThatThrownBy(this::prepare)
        .hasMessageStartingWith("Building jep failed")
        .cause()
        .message()
        .startsWith("line 10")
        .endsWith("line 49");
  }

  @Test
  void aJarOfAnotherVersionThanTheLock() throws IOException {
    fake.python("python3", "3.12.1");
    Files.writeString(folder.resolve("locks/jep.lock"), "jep==9.9.9 --hash=z\n");
    assertThat(refusal())
        .contains("jep 4.3.1 is on the class path", "builds jep 9.9.9", "org.ninia:jep:9.9.9");
  }

  @Test
  void anUnknownExtra() {
    var settings =
        new PythonEnvironment.Settings(
            "python3", Optional.empty(), folder.resolve("cache"), List.of("torhc"));
    assertThatThrownBy(
            () -> PythonEnvironment.prepare(settings, progress::add, fake.surroundings()))
        .hasMessage("There is no extra 'torhc'; the extras are [cuda, more, torch]");
  }

  @Test
  void aCacheFolderThatCannotBeWritten() throws IOException {
    Files.createFile(folder.resolve("cache"));
    assertThat(refusal()).contains(folder.resolve("cache").toString(), "cannot be read or written");
  }

  @Test
  void aJvmThatDies() throws IOException {
    fake.python("python3", "3.12.1");
    FakePython.script(folder.resolve("jdk/bin/java"), "echo SIGSEGV; exit 134");
    assertThat(refusal()).contains("does not work inside a JVM (exit code 134)");
  }

  // An environment that the user gives

  @Test
  void aGivenEnvironmentIsCheckedOnceAndNotChanged() throws IOException {
    fake.python("python3", "3.12.4");
    Path given = prepare().folder();
    List<String> before = listAll(given);
    int checks = fake.log("import").size();
    PythonEnvironment used = prepareGiven(given);
    assertThat(used.folder()).isEqualTo(given);
    assertThat(used.python()).isEqualTo(given.resolve("bin/python"));
    prepareGiven(given);
    assertThat(fake.log("import")).hasSize(checks + 1);
    assertThat(listAll(given)).isEqualTo(before);
  }

  private static List<String> listAll(Path folder) throws IOException {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.map(each -> each + " " + each.toFile().lastModified()).sorted().toList();
    }
  }

  @Test
  void aGivenEnvironmentThatDoesNotFit() throws IOException {
    assertThatThrownBy(() -> prepareGiven(folder.resolve("none")))
        .hasMessageContaining("it has no bin/python");
    fake.python("python3", "3.12.4");
    Path given = prepare().folder();
    Files.writeString(given.resolve("lib/jep/version.py"), "__VERSION__ = '4.2.2'\n");
    assertThatThrownBy(() -> prepareGiven(given))
        .hasMessageContaining("has jep 4.2.2, but jep 4.3.1 is on the class path");
    ResourceTree.delete(given.resolve("lib/jep"));
    assertThatThrownBy(() -> prepareGiven(given)).hasMessageContaining("has no jep");
  }

  @Test
  void aGivenEnvironmentWithoutTheModules() throws IOException {
    fake.python("python3", "3.12.4");
    Path given = prepare().folder();
    String python = Files.readString(given.resolve("bin/python"));
    Files.writeString(
        given.resolve("bin/python"),
        python.replace(
            "\n: ;;", "\necho \"ModuleNotFoundError: No module named 'openvino'\"; exit 1 ;;"));
    assertThatThrownBy(() -> prepareGiven(given))
        .hasMessageContaining("No module named 'openvino'")
        .hasMessageContaining("runtime.lock");
  }

  // With a real Python

  @Test
  @Timeout(300)
  void aRealEnvironmentWorksAndIsReadyTheNextTime() throws IOException {
    PythonEnvironment first = TestPython.environment();
    assertThat(PythonEnvironment.prepare(TestPython.settings(), progress::add)).isEqualTo(first);
    assertThat(progress).isEmpty();
    var outcome =
        new Command(
                List.of(first.python().toString(), "-I", "-m", "pip", "check"),
                System.getenv(),
                folder,
                Duration.ofMinutes(1))
            .run(line -> {});
    assertThat(outcome.tail()).containsExactly("No broken requirements found.");
  }

  @Test
  void withoutANetworkItSaysSoSoon() throws IOException {
    int closedPort;
    try (var socket = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
      closedPort = socket.getLocalPort();
    }
    var variables = new HashMap<>(System.getenv());
    variables.keySet().removeIf(name -> name.startsWith("PIP_"));
    variables.put("PIP_INDEX_URL", "http://127.0.0.1:" + closedPort + "/simple");
    variables.put("PIP_CONFIG_FILE", "/dev/null");
    var usual = Surroundings.ofThisProcess();
    var cut =
        new Surroundings(
            variables, usual.locks(), usual.javaHome(), usual.probeLimit(), usual.freeBytes());
    assertThatThrownBy(() -> PythonEnvironment.prepare(fake.settings(), progress::add, cut))
        .hasMessageStartingWith("pip cannot reach the package index")
        .hasCauseInstanceOf(PythonEnvironmentException.ToolOutput.class);
  }

  @Test
  void theDefaultCacheFolderIsTheUsersOwn() {
    assertThat(PythonEnvironment.Settings.defaults().cacheFolder())
        .isAbsolute()
        .hasFileName("ragbus");
  }
}
