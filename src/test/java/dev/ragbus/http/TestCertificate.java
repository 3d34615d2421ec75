// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import io.vertx.core.json.JsonObject;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyStore;
import java.util.Base64;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/** A certificate for localhost and its key, made by the JDK's keytool. */
public record TestCertificate(Path certificate, Path key, Path publicKey) {
  private static final char[] PASSWORD = "changeit".toCharArray();

  /** Made in a folder, for further IP addresses too. */
  public static TestCertificate in(Path folder, String... addresses)
      throws IOException, InterruptedException, GeneralSecurityException {
    Path store = folder.resolve("store.p12");
    Process keytool =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "keytool").toString(),
                "-genkeypair",
                "-keyalg",
                "RSA",
                "-keysize",
                "2048",
                "-alias",
                "test",
                "-dname",
                "CN=localhost",
                "-ext",
                "SAN=dns:localhost,ip:127.0.0.1" + san(addresses),
                "-storetype",
                "PKCS12",
                "-keystore",
                store.toString(),
                "-storepass",
                new String(PASSWORD))
            .inheritIO()
            .start();
    if (!keytool.waitFor(60, TimeUnit.SECONDS) || keytool.exitValue() != 0) {
      throw new IOException("keytool failed");
    }
    KeyStore keys = KeyStore.getInstance(store.toFile(), PASSWORD);
    Key key = keys.getKey("test", PASSWORD);
    return new TestCertificate(
        write(
            folder.resolve("certificate.pem"),
            "CERTIFICATE",
            keys.getCertificate("test").getEncoded()),
        write(folder.resolve("key.pem"), "PRIVATE KEY", key.getEncoded()),
        write(
            folder.resolve("public.pem"),
            "PUBLIC KEY",
            keys.getCertificate("test").getPublicKey().getEncoded()));
  }

  private static String san(String... addresses) {
    return Stream.of(addresses).map(",ip:"::concat).collect(Collectors.joining());
  }

  private static Path write(Path file, String type, byte[] der) throws IOException {
    String base64 = Base64.getMimeEncoder(64, new byte[] {10}).encodeToString(der);
    String pem = "-----BEGIN " + type + "-----\n" + base64 + "\n-----END " + type + "-----\n";
    return Files.writeString(file, pem);
  }

  /** The options that use it. */
  JsonObject options() {
    return new JsonObject()
        .put("tls_certificate", certificate.toString())
        .put("tls_key", key.toString());
  }
}
