/** An application. */
module modular {
  requires dev.ragbus;
  requires io.vertx.core;
}
