/**
 * What an application uses: the {@link dev.ragbus.Ragbus} client, the records it exchanges, the
 * options and the failures. Nothing here knows Python or HTTP.
 */
package dev.ragbus;
