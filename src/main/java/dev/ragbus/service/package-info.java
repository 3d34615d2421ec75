/**
 * The service behind the addresses: admission, batching, models. Everything in it belongs to the
 * event loop of one {@link dev.ragbus.service.RagbusVerticle}, so nothing in it is shared or
 * locked.
 */
package dev.ragbus.service;
