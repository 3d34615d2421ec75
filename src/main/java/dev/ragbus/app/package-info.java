/** The application: configuration, the two verticles, and an orderly end. */
package dev.ragbus.app;
