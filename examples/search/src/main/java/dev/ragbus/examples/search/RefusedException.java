package dev.ragbus.examples.search;

/** A document that is not indexed, with the reason for people. It carries no stack trace. */
final class RefusedException extends Exception {
  private static final long serialVersionUID = 1L;

  RefusedException(String reason) {
    super(reason, null, false, false);
  }
}
