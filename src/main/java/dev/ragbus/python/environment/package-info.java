/**
 * What Python needs on disk: the virtual environment, made from locked requirements and checked,
 * the shipped Python package, and the models packaged on the class path. Blocking code, no Vert.x.
 */
package dev.ragbus.python.environment;
