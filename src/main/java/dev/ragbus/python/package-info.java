/**
 * CPython in this process: its environment, its interpreters' threads, and the engine that runs
 * models on them. Only this package imports jep.
 */
package dev.ragbus.python;
