package dev.ragbus.examples.search;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.logging.Level;
import java.util.stream.IntStream;
import org.apache.lucene.store.FSDirectory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.openqa.selenium.By;
import org.openqa.selenium.Dimension;
import org.openqa.selenium.Keys;
import org.openqa.selenium.OutputType;
import org.openqa.selenium.WebElement;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;

/**
 * The page in a real Chromium, before the real application. Screenshots are left in {@code
 * target/screenshots}. Without Debian's {@code chromium} and {@code chromium-driver} it is skipped.
 */
class SearchPageIT {
  private static final Path CHROMIUM = Path.of("/usr/bin/chromium");
  private static final Path DRIVER = Path.of("/usr/bin/chromedriver");
  private static final Path SCREENSHOTS = Path.of("target", "screenshots");
  private static final Path DOCUMENTATION = Path.of("..", "..", "docs");
  private static final Duration PATIENCE = Duration.ofSeconds(60);

  @TempDir Path temporary;
  private Path folder;
  private FullDisk disk;
  private ServedSearch search;
  private ChromeDriver browser;

  @BeforeEach
  void serve() throws IOException {
    Assumptions.assumeTrue(
        Files.isExecutable(CHROMIUM) && Files.isExecutable(DRIVER),
        "chromium and chromium-driver are not installed");
    folder = Files.createDirectory(temporary.resolve("documents"));
    disk = new FullDisk(FSDirectory.open(temporary.resolve("index")));
    search = ServedSearch.open(folder, disk);
  }

  private void browse(String scheme) {
    ChromeOptions options = new ChromeOptions();
    options.setBinary(CHROMIUM.toFile());
    options.addArguments(
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1100,900",
        "--force-prefers-color-scheme=" + scheme,
        "--blink-settings=preferredColorScheme=" + (scheme.equals("dark") ? 0 : 1),
        "--user-data-dir=" + temporary.resolve("profile"));
    LoggingPreferences logs = new LoggingPreferences();
    logs.enable(LogType.BROWSER, Level.ALL);
    options.setCapability("goog:loggingPrefs", logs);
    ChromeDriverService driver =
        new ChromeDriverService.Builder()
            .usingDriverExecutable(DRIVER.toFile())
            .usingAnyFreePort()
            .build();
    browser = new ChromeDriver(driver, options);
    browser.get(search.address() + "/");
  }

  @AfterEach
  void nothingToComplainOf() {
    List<String> complaints = List.of();
    if (browser != null) {
      complaints =
          browser.manage().logs().get(LogType.BROWSER).getAll().stream()
              .filter(entry -> entry.getLevel().intValue() >= Level.WARNING.intValue())
              .map(Object::toString)
              .toList();
      browser.quit();
    }
    if (search != null) {
      search.close();
    }
    assertThat(complaints).isEmpty();
  }

  private WebElement at(String css) {
    return browser.findElement(By.cssSelector(css));
  }

  private String text(String css) {
    return at(css).getText();
  }

  private List<WebElement> all(String css) {
    return browser.findElements(By.cssSelector(css));
  }

  private void screenshot(String name) throws IOException {
    Files.createDirectories(SCREENSHOTS);
    Files.write(SCREENSHOTS.resolve(name + ".png"), browser.getScreenshotAs(OutputType.BYTES));
  }

  private void waitForText(String css, String part) {
    await().atMost(PATIENCE).until(() -> text(css).contains(part));
  }

  @ParameterizedTest
  @CsvSource({"light, 1100", "dark, 1100", "light, 420", "dark, 420"})
  void resultsAreReorderedAsScoresArrive(String scheme, int width) throws IOException {
    copyDocumentation();
    browse(scheme);
    browser.manage().window().setSize(new Dimension(width, 900));
    waitForText("#indexing-message", "waiting for the models");
    search.start();
    waitForText("#indexing-message", "indexed ");
    watchTheOrder();
    at("#query").sendKeys("what happens when the queue is full", Keys.ENTER);
    waitForText("#summary", "50 passages reranked by all-MiniLM-L6-v2 (similarity)");

    List<Double> scores =
        all("#results .score").stream()
            .map(WebElement::getText)
            .map(text -> Double.valueOf(text.substring(text.lastIndexOf(' ') + 1)))
            .toList();
    assertThat(scores).hasSize(10).isSortedAccordingTo(Comparator.reverseOrder());
    assertThat(ranks()).isEqualTo(IntStream.rangeClosed(1, 10).mapToObj(String::valueOf).toList());
    assertThat(text("#legend"))
        .contains("embed the query", "BM25", "HNSW", "fuse", "rerank", "first score", "total");
    Number orders = (Number) browser.executeScript("return new Set(window.orders).size");
    assertThat(orders.intValue()).as("different orders seen").isGreaterThan(2);
    Number overflow =
        (Number)
            browser.executeScript(
                "return document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assertThat(overflow.intValue()).as("pixels wider than the window").isZero();
    screenshot("results-" + scheme + "-" + width);

    at("#more").click();
    assertThat(all("#results li")).hasSize(50);
    assertThat(all("#more").get(0).isDisplayed()).isFalse();
  }

  /** Notes the results' texts whenever the list changes. */
  private void watchTheOrder() {
    browser.executeScript(
        """
        window.orders = [];
        const list = document.getElementById("results");
        new MutationObserver(() => window.orders.push(
            [...list.children].map((item) => item.querySelector(".text").textContent).join("|")))
          .observe(list, { childList: true });
        """);
  }

  private List<String> ranks() {
    return all("#results .number").stream().map(WebElement::getText).toList();
  }

  private void copyDocumentation() throws IOException {
    try (var files = Files.list(DOCUMENTATION)) {
      for (Path file : files.filter(f -> f.toString().endsWith(".md")).toList()) {
        Files.copy(file, folder.resolve(file.getFileName()));
      }
    }
  }

  @Test
  void theKeyboardReachesEverything() throws IOException {
    copyDocumentation();
    search.start();
    browse("light");
    waitForText("#indexing-message", "indexed ");
    at("body").sendKeys("/");
    assertThat(browser.switchTo().activeElement().getAttribute("id")).isEqualTo("query");
    browser.switchTo().activeElement().sendKeys("lanes", Keys.ENTER);
    waitForText("#summary", "reranked");
    browser.switchTo().activeElement().sendKeys(Keys.ARROW_DOWN);
    assertThat(browser.switchTo().activeElement()).isEqualTo(all("#results li").get(0));
    browser.switchTo().activeElement().sendKeys(Keys.ARROW_DOWN);
    assertThat(browser.switchTo().activeElement()).isEqualTo(all("#results li").get(1));
    browser.switchTo().activeElement().sendKeys(Keys.ARROW_UP, Keys.NULL);
    browser.switchTo().activeElement().sendKeys(Keys.ARROW_UP);
    assertThat(browser.switchTo().activeElement().getAttribute("id")).isEqualTo("query");
  }

  @Test
  void badFilesAreToldAndAnEmptyFolderToo() throws IOException {
    search.start();
    browse("light");
    waitForText("#indexing-message", "no documents: ");
    at("#query").sendKeys("anything", Keys.ENTER);
    waitForText("#summary", "nothing is indexed yet");

    Files.writeString(folder.resolve("good.md"), "# Cats\n\nCats purr when they are content.\n");
    Files.write(folder.resolve("latin.md"), "Größe".getBytes(StandardCharsets.ISO_8859_1));
    Files.write(folder.resolve("binary.txt"), new byte[100]);
    Files.write(folder.resolve("large.txt"), new byte[1_000_001]);
    Files.createSymbolicLink(folder.resolve("loop"), folder);
    Files.createDirectory(folder.resolve(".hidden"));
    at("#index-again").click();
    waitForText(
        "#indexing-message", "1 documents new or changed, 0 unchanged, 0 removed, 5 skipped");
    at("#problems summary").click();
    assertThat(text("#problems"))
        .contains(
            "5 not indexed",
            "latin.md is not UTF-8: byte 2 is 0xF6",
            "binary.txt is binary",
            "large.txt is too large: 1,000,001 bytes",
            "loop is a symbolic link",
            ".hidden is a hidden folder");
    screenshot("problems");
    at("#query").clear();
    at("#query").sendKeys("sounds of cats", Keys.ENTER);
    waitForText("#summary", "1 passages reranked");
    assertThat(text("#results li")).contains("good.md", "Cats purr");
  }

  @Test
  void aFullDiskIsToldAndWhatWasIndexedIsFoundWhileIndexing() throws IOException {
    Corpus.write(folder, 20);
    search.start();
    browse("dark");
    waitForText("#indexing-message", "indexed ");
    Corpus.write(folder, 60);
    disk.leave(2_000);
    at("#index-again").click();
    at("#query").sendKeys("harbour", Keys.ENTER);
    waitForText("#summary", "in 20 documents");
    waitForText("#indexing-message", "is full; free some space and index again");
    screenshot("full-disk");
    waitForText("#summary", "reranked");

    disk.leave(Long.MAX_VALUE);
    at("#index-again").click();
    waitForText("#indexing-message", "40 documents new or changed, 20 unchanged");
    browser.get("about:blank");
    search.close();
    search = null;
    SearchIndexTest.check(temporary.resolve("index"));
  }
}
