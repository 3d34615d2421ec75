/**
 * HTTP for a Ragbus deployment. It knows the facade {@link dev.ragbus.Ragbus} and its records only;
 * each API that clients speak is one {@code Dialect}.
 */
package dev.ragbus.http;
