/**
 * A deployment in more than one process: fronts, which have the addresses and choose who gets a
 * request, what workers tell them, and processes on this machine that are kept running. It passes
 * messages on and knows no Python.
 */
package dev.ragbus.cluster;
