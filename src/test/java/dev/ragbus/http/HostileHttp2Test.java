// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import static org.assertj.core.api.Assertions.assertThat;

import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpClient;
import io.vertx.core.http.HttpClientOptions;
import io.vertx.core.http.HttpMethod;
import io.vertx.core.http.HttpVersion;
import io.vertx.core.http.RequestOptions;
import io.vertx.core.json.JsonObject;
import io.vertx.core.net.PemTrustOptions;
import io.vertx.junit5.VertxExtension;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.cert.X509Certificate;
import java.util.Arrays;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509TrustManager;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;

/**
 * HTTP/2 as no client should speak it (RFC 9113): each connection is ended, and that of another is
 * not touched.
 */
@ExtendWith(VertxExtension.class)
class HostileHttp2Test {
  private static final int DATA = 0;
  private static final int HEADERS = 1;
  private static final int RST_STREAM = 3;
  private static final int SETTINGS = 4;
  private static final int PING = 6;
  private static final int GOAWAY = 7;
  private static final int WINDOW_UPDATE = 8;
  private static final int CONTINUATION = 9;
  private static final int END_STREAM = 1;
  private static final int END_HEADERS = 4;
  private static final int ACK = 1;
  private static final int PROTOCOL_ERROR = 1;
  private static final int CANCEL = 8;
  private static final int ENHANCE_YOUR_CALM = 11;
  private static final int FLOW_CONTROL_ERROR = 3;
  private static final int REFUSED_STREAM = 7;
  private static final int CLOSED = -1;
  private static final int MANY = 1 << 25;

  /** What buffers of the system and of the server may hold of what nobody reads. */
  private static final int BUFFERED = 12 << 20;

  private static final int MAX_STREAMS = 100;

  /** {@code GET /health/live} of {@code localhost} in HPACK (RFC 7541). */
  private static final byte[] GET = block((byte) 0x82, "/health/live");

  private static final byte[] POST = withJson(block((byte) 0x83, "/embed"));

  @TempDir static Path folder;

  private static TestCertificate certificate;
  private static Served served;
  private static HttpClient good;

  @BeforeAll
  static void deploy(Vertx vertx) throws Exception {
    certificate = TestCertificate.in(folder);
    served =
        Served.deploy(
            vertx, new JsonObject().put("http", certificate.options().put("idle_timeout", "1s")));
    good =
        vertx.createHttpClient(
            new HttpClientOptions()
                .setSsl(true)
                .setUseAlpn(true)
                .setProtocolVersion(HttpVersion.HTTP_2)
                .setTrustOptions(
                    new PemTrustOptions().addCertPath(certificate.certificate().toString())));
  }

  @AfterEach
  void others_are_served() {
    RequestOptions options =
        new RequestOptions()
            .setMethod(HttpMethod.POST)
            .setHost("localhost")
            .setPort(served.port())
            .setURI("/embed")
            .putHeader("Content-Type", "application/json");
    Buffer answer =
        Served.await(
            good.request(options)
                .compose(request -> request.send(Buffer.buffer("{\"inputs\": \"abc\"}")))
                .compose(response -> response.body()));
    assertThat(answer.toString()).isEqualTo("[[3.0,1.0,-3.0]]");
  }

  private static byte[] block(byte method, String path) {
    return ByteBuffer.allocate(path.length() + 15)
        .put(method)
        .put((byte) 0x87) // https
        .put((byte) 0x04) // :path
        .put((byte) path.length())
        .put(path.getBytes(StandardCharsets.US_ASCII))
        .put((byte) 0x01) // :authority
        .put((byte) 9)
        .put("localhost".getBytes(StandardCharsets.US_ASCII))
        .array();
  }

  private static byte[] withJson(byte[] block) {
    return ByteBuffer.allocate(block.length + 19)
        .put(block)
        .put(new byte[] {0x0f, 0x10, 16}) // content-type
        .put("application/json".getBytes(StandardCharsets.US_ASCII))
        .array();
  }

  private static byte[] frame(int type, int flags, int stream, byte[] payload) {
    return ByteBuffer.allocate(9 + payload.length)
        .put((byte) (payload.length >> 16))
        .putShort((short) payload.length)
        .put((byte) type)
        .put((byte) flags)
        .putInt(stream)
        .put(payload)
        .array();
  }

  private static byte[] number(int value) {
    return ByteBuffer.allocate(4).putInt(value).array();
  }

  private static byte[] times(int count, byte[] frame) {
    ByteBuffer all = ByteBuffer.allocate(count * frame.length);
    for (int i = 0; i < count; i++) {
      all.put(frame);
    }
    return all.array();
  }

  /** Trusts whom it meets: it is the server that is tested. */
  private static final class AnyServer implements X509TrustManager {
    @Override
    public void checkClientTrusted(X509Certificate[] chain, String type) {}

    @Override
    public void checkServerTrusted(X509Certificate[] chain, String type) {}

    @Override
    public X509Certificate[] getAcceptedIssuers() {
      return new X509Certificate[0];
    }
  }

  private static RawClient connect(byte[] settings) throws IOException, GeneralSecurityException {
    SSLContext tls = SSLContext.getInstance("TLS");
    tls.init(null, new TrustManager[] {new AnyServer()}, null);
    SSLSocket socket =
        (SSLSocket)
            tls.getSocketFactory().createSocket(InetAddress.getLoopbackAddress(), served.port());
    SSLParameters parameters = socket.getSSLParameters();
    parameters.setApplicationProtocols(new String[] {"h2"});
    socket.setSSLParameters(parameters);
    socket.startHandshake();
    assertThat(socket.getApplicationProtocol()).isEqualTo("h2");
    return new RawClient(socket)
        .send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .send(frame(SETTINGS, 0, 0, settings));
  }

  private static RawClient connect() throws IOException, GeneralSecurityException {
    return connect(new byte[0]);
  }

  /** Reads frames up to one of a type; returns the last number of it, or that there came none. */
  private static int awaitFrame(RawClient client, int wanted) {
    while (true) {
      byte[] head = client.readOrNull(9);
      if (head == null) {
        return CLOSED;
      }
      ByteBuffer buffer = ByteBuffer.wrap(head);
      int length = buffer.getInt() >>> 8;
      byte[] payload = client.readOrNull(length);
      if (payload == null) {
        return CLOSED;
      }
      if ((head[3] & 0xff) == wanted) {
        return ByteBuffer.wrap(payload).getInt(wanted == GOAWAY ? 4 : 0);
      }
    }
  }

  @Test
  void streams_that_are_reset_as_soon_as_they_begin() throws Exception {
    try (RawClient client = connect()) {
      ByteBuffer resets = ByteBuffer.allocate(100 * (9 + GET.length + 13));
      int stream = 1;
      for (int round = 0; round < 3; round++) {
        resets.clear();
        for (int i = 0; i < 100; i++) {
          resets
              .put(frame(HEADERS, END_HEADERS | END_STREAM, stream, GET))
              .put(frame(RST_STREAM, 0, stream, number(CANCEL)));
          stream += 2;
        }
        client.flood(resets.array(), 1);
      }
      assertThat(awaitFrame(client, GOAWAY)).isIn(ENHANCE_YOUR_CALM, CLOSED);
    }
  }

  @Test
  void more_streams_at_once_than_it_offers() throws Exception {
    try (RawClient client = connect()) {
      awaitFrame(client, SETTINGS);
      client.send(frame(SETTINGS, ACK, 0, new byte[0]));
      int stream = 1;
      for (int i = 0; i <= MAX_STREAMS; i++) {
        client.send(frame(HEADERS, END_HEADERS, stream, POST));
        stream += 2;
      }
      assertThat(awaitFrame(client, RST_STREAM)).isEqualTo(REFUSED_STREAM);
    }
  }

  @Test
  void settings_without_end() throws Exception {
    try (RawClient client = connect()) {
      byte[] some = times(1_000, frame(SETTINGS, 0, 0, new byte[] {0, 4, 0, 0, 1, 0}));
      client.flood(some, MANY);
      assertThat(client.untilClosed().length()).as("of so many answers").isLessThan(BUFFERED);
    }
  }

  @Test
  void pings_without_end() throws Exception {
    try (RawClient client = connect()) {
      byte[] some = times(1_000, frame(PING, 0, 0, new byte[8]));
      client.flood(some, MANY);
      assertThat(client.untilClosed().length()).as("of so many answers").isLessThan(BUFFERED);
    }
  }

  @Test
  void empty_data_without_end() throws Exception {
    try (RawClient client = connect()) {
      client.send(frame(HEADERS, END_HEADERS, 1, POST));
      byte[] some = times(1_000, frame(DATA, 0, 1, new byte[0]));
      assertThat(client.flood(some, MANY)).isLessThan(MANY);
    }
  }

  @Test
  void headers_that_go_on_without_end() throws Exception {
    try (RawClient client = connect()) {
      client.send(frame(HEADERS, END_STREAM, 1, GET));
      byte[] some = times(100, frame(CONTINUATION, 0, 1, new byte[] {0, 1, 'x', 1, 'y'}));
      assertThat(client.flood(some, MANY)).isLessThan(MANY);
    }
  }

  @Test
  void headers_that_unpack_to_a_thousandfold() throws Exception {
    try (RawClient client = connect()) {
      byte[] value = "v".repeat(3_000).getBytes(StandardCharsets.US_ASCII);
      byte[] named =
          ByteBuffer.allocate(GET.length + 6 + value.length)
              .put(GET)
              .put(new byte[] {0x40, 1, 'x', 0x7f, (byte) 0xb9, 0x16}) // 3,000
              .put(value)
              .array();
      client.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, named));
      byte[] again = new byte[GET.length + 10_000];
      Arrays.fill(again, (byte) 0xbe); // the newest entry of the table
      System.arraycopy(GET, 0, again, 0, GET.length);
      client.send(frame(HEADERS, END_HEADERS | END_STREAM, 3, again));
      assertThat(awaitFrame(client, RST_STREAM)).isEqualTo(PROTOCOL_ERROR);
    }
  }

  @Test
  void a_window_that_overflows() throws Exception {
    try (RawClient client = connect()) {
      client.send(times(2, frame(WINDOW_UPDATE, 0, 0, number(Integer.MAX_VALUE))));
      assertThat(awaitFrame(client, GOAWAY)).isEqualTo(FLOW_CONTROL_ERROR);
    }
  }

  @Test
  void a_client_that_lets_nothing_be_sent_to_it() throws Exception {
    try (RawClient client = connect(new byte[] {0, 4, 0, 0, 0, 0})) {
      int stream = 1;
      for (int i = 0; i < MAX_STREAMS / 2; i++) {
        client.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, GET));
        stream += 2;
      }
      assertThat(awaitFrame(client, GOAWAY)).isIn(0, CLOSED);
    }
  }

  @Test
  void what_is_no_frame() throws Exception {
    for (byte[] frame :
        new byte[][] {
          frame(DATA, 0, 0, new byte[1]),
          frame(DATA, 0, 7, new byte[1]),
          frame(HEADERS, END_HEADERS, 2, GET),
          frame(SETTINGS, 0, 0, new byte[5]),
          frame(SETTINGS, 0, 1, new byte[6]),
          frame(PING, 0, 0, new byte[7]),
          frame(RST_STREAM, 0, 1, number(0)),
          frame(CONTINUATION, 0, 1, new byte[1]),
          frame(HEADERS, END_HEADERS, 1, new byte[] {(byte) 0x80}),
          frame(SETTINGS, 0, 0, new byte[(1 << 14) + 1]),
        }) {
      try (RawClient client = connect()) {
        client.flood(frame, 1);
        assertThat(awaitFrame(client, GOAWAY)).isNotZero();
      }
    }
  }
}
