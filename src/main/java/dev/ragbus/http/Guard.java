// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.http;

import dev.ragbus.RagbusOptions;
import dev.ragbus.http.ApiKeys.Holder;
import io.vertx.core.Future;
import io.vertx.core.Vertx;
import io.vertx.core.buffer.Buffer;
import io.vertx.core.http.HttpHeaders;
import io.vertx.core.http.HttpServerRequest;
import io.vertx.core.json.JsonArray;
import io.vertx.core.json.JsonObject;
import io.vertx.ext.auth.JWTOptions;
import io.vertx.ext.auth.PubSecKeyOptions;
import io.vertx.ext.auth.User;
import io.vertx.ext.auth.authentication.TokenCredentials;
import io.vertx.ext.auth.jwt.JWTAuth;
import io.vertx.ext.auth.jwt.JWTAuthOptions;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * Tells who asks and what they may do: by API key, by JSON Web Token, or, where neither is
 * configured and only this machine can ask, everyone everything.
 *
 * @param keys the keys; null for none
 * @param tokens checks tokens; null for none
 * @param roleClaim the tokens' claim that says what they allow
 */
record Guard(ApiKeys keys, JWTAuth tokens, String roleClaim) {
  private static final Pattern AUTHORIZATION =
      Pattern.compile("(?i:bearer) +(?<bearer>\\S+) *|(?i:basic) +(?<basic>\\S+) *");
  private static final int LEEWAY_SECONDS = 10;

  /** Reads keys; fails with a message that names the option and repeats no key. */
  static Future<Guard> of(Vertx vertx, RagbusOptions.Security options) {
    Future<ApiKeys> keys =
        read(vertx, "security.keys_file", options.keysFile()).map(file -> keys(options, file));
    Future<JWTAuth> tokens =
        read(vertx, "security.jwt_key_file", options.jwtKeyFile())
            .map(key -> key == null ? null : tokens(vertx, options, key));
    return Future.all(keys, tokens)
        .map(both -> new Guard(keys.result(), tokens.result(), options.jwtRoleClaim()));
  }

  private static Future<Buffer> read(Vertx vertx, String option, String path) {
    return path == null
        ? Future.succeededFuture()
        : vertx
            .fileSystem()
            .readFile(path)
            .recover(
                failure ->
                    Future.failedFuture(
                        new IllegalArgumentException(
                            option + " = " + path + " cannot be read: " + failure.getMessage())));
  }

  private static ApiKeys keys(RagbusOptions.Security options, Buffer file) {
    if (file == null && options.keys().isEmpty()) {
      return null;
    }
    List<String> lines = new ArrayList<>();
    if (file != null) {
      lines.addAll(file.toString().lines().toList());
    }
    lines.addAll(options.keys());
    String source = file == null ? "security.keys" : "security.keys_file, then security.keys";
    return ApiKeys.read(source, lines.stream());
  }

  private static JWTAuth tokens(Vertx vertx, RagbusOptions.Security options, Buffer key) {
    JWTOptions checks = new JWTOptions().setLeeway(LEEWAY_SECONDS);
    if (options.jwtIssuer() != null) {
      checks.setIssuer(options.jwtIssuer());
    }
    if (!options.jwtAudience().isEmpty()) {
      checks.setAudience(options.jwtAudience());
    }
    boolean shared = options.jwtAlgorithm().startsWith("HS");
    try {
      return JWTAuth.create(
          vertx,
          new JWTAuthOptions()
              .setJWTOptions(checks)
              .addPubSecKey(
                  new PubSecKeyOptions()
                      .setAlgorithm(options.jwtAlgorithm())
                      .setBuffer(shared ? Buffer.buffer(key.toString().strip()) : key)));
    } catch (RuntimeException e) {
      throw new IllegalArgumentException(
          "security.jwt_key_file holds no key for " + options.jwtAlgorithm());
    }
  }

  /** Whether callers must say who they are. */
  boolean required() {
    return keys != null || tokens != null;
  }

  /** Who asks; nobody in particular, who may do what is open to all, for no or a wrong key. */
  Future<Holder> caller(HttpServerRequest request) {
    String address = request.remoteAddress().hostAddress();
    if (!required()) {
      return Future.succeededFuture(new Holder(address, Access.ADMIN));
    }
    Holder nobody = new Holder(address, Access.OPEN);
    String token = token(request.getHeader(HttpHeaders.AUTHORIZATION));
    if (token == null) {
      return Future.succeededFuture(nobody);
    }
    Optional<Holder> holder = keys == null ? Optional.empty() : keys.holder(token);
    if (holder.isPresent() || tokens == null) {
      return Future.succeededFuture(holder.orElse(nobody));
    }
    return tokens
        .authenticate(new TokenCredentials(token))
        .map(user -> new Holder("token of " + user.subject(), access(user)))
        .otherwise(nobody);
  }

  /** The key or token of a header; null for none. In a browser it is the password. */
  private static String token(String header) {
    Matcher given = AUTHORIZATION.matcher(header == null ? "" : header);
    if (!given.matches()) {
      return null;
    }
    if (given.group("bearer") != null) {
      return given.group("bearer");
    }
    try {
      byte[] decoded = Base64.getDecoder().decode(given.group("basic"));
      String[] both = new String(decoded, StandardCharsets.UTF_8).split(":", 2);
      return both.length == 2 ? both[1] : null;
    } catch (IllegalArgumentException notBase64) {
      return null;
    }
  }

  private Access access(User user) {
    JsonObject claims = user.principal();
    Object claim = claims.getValue(roleClaim);
    Stream<Object> roles =
        claim instanceof JsonArray list ? list.stream() : Stream.ofNullable(claim);
    List<Object> all = roles.toList();
    if (all.contains("admin")) {
      return Access.ADMIN;
    }
    return all.contains("use") ? Access.USE : Access.NONE;
  }
}
