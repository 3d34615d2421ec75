// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import dev.ragbus.Await;
import dev.ragbus.service.TestService;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.Vertx;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Comparator;
import java.util.List;
import java.util.logging.Level;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.openqa.selenium.By;
import org.openqa.selenium.Keys;
import org.openqa.selenium.OutputType;
import org.openqa.selenium.WebElement;
import org.openqa.selenium.chrome.ChromeDriver;
import org.openqa.selenium.chrome.ChromeDriverService;
import org.openqa.selenium.chrome.ChromeOptions;
import org.openqa.selenium.logging.LogType;
import org.openqa.selenium.logging.LoggingPreferences;

/**
 * The page at {@code /} in a real Chromium, before the real service. Screenshots are left in {@code
 * target/screenshots}. Without Debian's {@code chromium} and {@code chromium-driver} it is skipped.
 */
class PageIT {
  private static final Path CHROMIUM = Path.of("/usr/bin/chromium");
  private static final Path DRIVER = Path.of("/usr/bin/chromedriver");
  private static final Path SCREENSHOTS = Path.of("target", "screenshots");
  private static final Duration PATIENCE = Duration.ofSeconds(30);

  private static Vertx vertx;
  private static TestService service;
  private static final String KEY = "use-0123456789abcdef";

  private static int port;
  private static int portBehindKeys;

  @TempDir Path profile;
  private ChromeDriver browser;

  @BeforeAll
  static void serve() {
    Assumptions.assumeTrue(
        Files.isExecutable(CHROMIUM) && Files.isExecutable(DRIVER),
        "chromium and chromium-driver are not installed");
    vertx = Vertx.vertx();
    service = TestService.start(vertx, new JsonObject());
    port = serve(new JsonObject());
    portBehindKeys =
        serve(
            new JsonObject()
                .put("security", new JsonObject().put("keys", new JsonArray().add("use:" + KEY))));
  }

  private static int serve(JsonObject config) {
    HttpVerticle http = new HttpVerticle();
    JsonObject all =
        TestService.offline().put("http", new JsonObject().put("port", 0)).mergeIn(config, true);
    Await.result(vertx.deployVerticle(http, new DeploymentOptions().setConfig(all)));
    return http.actualPort();
  }

  @AfterAll
  static void stop() {
    if (vertx != null) {
      service.close();
      Await.result(vertx.close());
    }
  }

  @BeforeEach
  void open() {
    browse("light");
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
        "--user-data-dir=" + profile);
    LoggingPreferences logs = new LoggingPreferences();
    logs.enable(LogType.BROWSER, Level.ALL);
    options.setCapability("goog:loggingPrefs", logs);
    ChromeDriverService driver =
        new ChromeDriverService.Builder()
            .usingDriverExecutable(DRIVER.toFile())
            .usingAnyFreePort()
            .build();
    browser = new ChromeDriver(driver, options);
    browser.get("http://127.0.0.1:" + port + "/");
  }

  /** What the browser itself complains of: a script's error, a refused load, a violated policy. */
  @AfterEach
  void nothingToComplainOf() {
    if (browser != null) {
      List<String> complaints =
          browser.manage().logs().get(LogType.BROWSER).getAll().stream()
              .filter(entry -> entry.getLevel().intValue() >= Level.WARNING.intValue())
              .map(Object::toString)
              .toList();
      browser.quit();
      assertThat(complaints).isEmpty();
    }
  }

  private WebElement at(String css) {
    return browser.findElement(By.cssSelector(css));
  }

  private List<WebElement> all(String css) {
    return browser.findElements(By.cssSelector(css));
  }

  private void screenshot(String name) throws IOException {
    Files.createDirectories(SCREENSHOTS);
    Files.write(SCREENSHOTS.resolve(name + ".png"), browser.getScreenshotAs(OutputType.BYTES));
  }

  private void tab(String name) {
    at("#tab-" + name).click();
    assertThat(at("#" + name).isDisplayed()).isTrue();
  }

  @ParameterizedTest
  @ValueSource(strings = {"light", "dark"})
  void embeddingsAreComparedInAHeatMap(String scheme) throws IOException {
    browser.quit();
    browse(scheme);
    await().atMost(PATIENCE).until(() -> at("#status").getText().equals("ready"));
    at("#embeddings button[type=submit]").click();
    await().atMost(PATIENCE).until(() -> all("#heat-map td").size() == 25);
    List<Double> likeness =
        all("#heat-map td").stream().map(cell -> Double.valueOf(cell.getText())).toList();
    assertThat(likeness.get(0)).isEqualTo(1.0);
    assertThat(likeness.get(2 * 5 + 3)).isGreaterThan(likeness.get(2 * 5 + 4));
    assertThat(at("#embed-summary").getText()).startsWith("5 × 384 by all-MiniLM-L6-v2");
    screenshot("embeddings-" + scheme);
  }

  @Test
  void barsGrowAsScoresStreamIn() throws IOException {
    tab("rerank");
    at("#rerank button[type=submit]").click();
    await().atMost(PATIENCE).until(() -> all("#bars li").size() == 5);
    List<Double> scores =
        all("#bars .score").stream().map(score -> Double.valueOf(score.getText())).toList();
    assertThat(scores).isSortedAccordingTo(Comparator.reverseOrder());
    assertThat(all("#bars li").get(0).getText()).containsAnyOf("purr", "meows");
    assertThat(at("#rerank-summary").getText()).startsWith("5 of 5 by all-MiniLM-L6-v2");
    screenshot("rerank");
  }

  @Test
  void modelsAreLoadedAndUnloaded() throws IOException {
    tab("models");
    await().atMost(PATIENCE).until(() -> !all("#model-rows tr").isEmpty());
    at("#model-rows button").click();
    await().atMost(PATIENCE).until(() -> all("#model-rows tr").isEmpty());
    at("#load-name").sendKeys("all-MiniLM-L6-v2");
    at("#models button[type=submit]").click();
    await().atMost(PATIENCE).until(() -> all("#model-rows tr").size() == 1);
    await()
        .atMost(PATIENCE)
        .until(() -> at("#load-summary").getText().equals("embedding:all-MiniLM-L6-v2: loaded"));
    assertThat(at("#model-rows").getText()).contains("all-MiniLM-L6-v2", "ready", "384", "MB");
    screenshot("models");
  }

  @Test
  void aFailureIsTold() throws IOException {
    tab("models");
    at("#load-name").sendKeys("no-such-model");
    at("#models button[type=submit]").click();
    await().atMost(PATIENCE).until(() -> at("#failure").isDisplayed());
    assertThat(at("#failure").getText()).startsWith("404: ").contains("no-such-model");
    screenshot("failure");
    browser.manage().logs().get(LogType.BROWSER);
  }

  @Test
  void aFunctionIsCalledThroughTheFormOfItsSchema() throws IOException {
    tab("functions");
    await().atMost(PATIENCE).until(() -> !all("#function-list button").isEmpty());
    WebElement rerank =
        all("#function-list button").stream()
            .filter(button -> button.getText().equals("rerank_texts"))
            .findFirst()
            .orElseThrow();
    rerank.click();
    at("#argument-query").sendKeys("cats");
    at("#argument-texts").sendKeys("[\"Stocks fell.\", \"Cats purr.\"]");
    at("#function-form button[type=submit]").click();
    await().atMost(PATIENCE).until(() -> at("#function-result").isDisplayed());
    JsonObject result = new JsonObject(at("#function-result").getText());
    assertThat(result.getJsonArray("ranked_results").getJsonObject(0).getString("text"))
        .isEqualTo("Cats purr.");
    screenshot("functions");
  }

  @Test
  void chartsFollowTheCounters() throws IOException {
    tab("live");
    for (int i = 0; i < 20; i++) {
      Await.result(service.ragbus().embed("a text to count " + i));
    }
    await()
        .atMost(PATIENCE)
        .until(
            () ->
                all("#charts polyline").stream().allMatch(line -> points(line) >= 2)
                    && !all("#lane-rows tr").isEmpty());
    assertThat(at("#charts").getText()).contains("Embed latency", "p50", "MB");
    screenshot("live");
  }

  private static int points(WebElement line) {
    String drawn = line.getDomAttribute("points");
    return drawn == null || drawn.isBlank() ? 0 : drawn.trim().split(" ").length;
  }

  @Test
  void theDescriptionIsShown() throws IOException {
    browser.get("http://127.0.0.1:" + port + "/docs");
    await().atMost(PATIENCE).until(() -> all(".opblock").size() > 20);
    assertThat(all(".opblock-summary-path").stream().map(WebElement::getText))
        .anyMatch(path -> path.replace("\u200b", "").equals("/v1/embeddings"));
    screenshot("docs");
  }

  @Test
  void behindKeysTheBrowserSendsTheKeyItWasGiven() throws IOException {
    browser.get("http://any:" + KEY + "@127.0.0.1:" + portBehindKeys + "/");
    await().atMost(PATIENCE).until(() -> at("#status").getText().equals("ready"));
    at("#embeddings button[type=submit]").click();
    await().atMost(PATIENCE).until(() -> all("#heat-map td").size() == 25);
    Object frames =
        browser.executeAsyncScript(
            """
            const done = arguments[arguments.length - 1];
            const socket = new WebSocket(`ws://${location.host}/v1/rerank/stream`);
            const types = [];
            socket.onopen = () => socket.send(JSON.stringify({type: "rerank", id: "r", query: "q", texts: ["a"]}));
            socket.onclose = () => done(types.join());
            socket.onmessage = (message) => {
              types.push(JSON.parse(message.data).type);
              if (types.at(-1) === "end" || types.at(-1) === "error") socket.close();
            };
            """);
    assertThat(frames).isEqualTo("start,partial,end");
    screenshot("behind-keys");
  }

  @Test
  void theKeyboardReachesEverything() {
    at("#tab-embeddings").sendKeys(Keys.ARROW_RIGHT);
    assertThat(at("#rerank").isDisplayed()).isTrue();
    assertThat(at("#tab-rerank").getAttribute("aria-selected")).isEqualTo("true");
    browser.switchTo().activeElement().sendKeys(Keys.END);
    assertThat(at("#live").isDisplayed()).isTrue();
    browser.switchTo().activeElement().sendKeys(Keys.ARROW_RIGHT, Keys.TAB);
    assertThat(browser.switchTo().activeElement().getAttribute("id")).isEqualTo("embed-texts");
    browser.switchTo().activeElement().sendKeys(Keys.TAB, Keys.TAB, Keys.ENTER);
    await().atMost(PATIENCE).until(() -> all("#heat-map td").size() == 25);
  }
}
