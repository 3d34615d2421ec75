// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.python;

import io.vertx.core.Future;
import io.vertx.core.json.JsonObject;
import java.util.List;
import java.util.function.IntSupplier;

/** {@link FunctionLanes} on CPython. */
final class JepFunctionLanes implements FunctionLanes {
  private final List<InterpreterLane> lanes;
  private final InterpreterLane control;
  private final IntSupplier abandoned;
  private long hardCancelled;

  JepFunctionLanes(List<InterpreterLane> lanes, InterpreterLane control, IntSupplier abandoned) {
    this.lanes = lanes;
    this.control = control;
    this.abandoned = abandoned;
  }

  @Override
  public int count() {
    return lanes.size();
  }

  @Override
  public Future<JsonObject> define(int lane, Definition operation, JsonObject body) {
    return lanes.get(lane).call(bridge -> bridge.call(operation.operation(), body), Long.MAX_VALUE);
  }

  @Override
  public void forget(int function) {
    call("function_unregister", new JsonObject().put("id", function));
  }

  @Override
  public Future<String> source(int function) {
    return call("function_source", new JsonObject().put("id", function))
        .map(answer -> answer.getString("code"));
  }

  private Future<JsonObject> call(String operation, JsonObject body) {
    return control.call(bridge -> bridge.call(operation, body), Long.MAX_VALUE);
  }

  @Override
  public Future<Object> run(int lane, Run run) {
    return lanes.get(lane).call(bridge -> bridge.runFunction(run), Long.MAX_VALUE);
  }

  @Override
  public Future<Void> open(int lane, Run run) {
    return lanes.get(lane).call(bridge -> bridge.openStream(run), Long.MAX_VALUE);
  }

  @Override
  public Future<Items> next(int lane, Run run, int maxItems, long maxMillis) {
    return lanes
        .get(lane)
        .call(bridge -> bridge.nextItems(run, maxItems, maxMillis), Long.MAX_VALUE);
  }

  @Override
  public Future<Void> close(int lane, Run run) {
    return lanes.get(lane).call(bridge -> bridge.closeStream(run), Long.MAX_VALUE);
  }

  /*
   * On the control lane, where it may wait for the interpreter lock: but so long as that cannot be
   * had, tokenising, which is what it would hold up, cannot be done either. Python decides in one
   * step whether the exception or the call's end comes first, so it cannot hit the lane's next call.
   */
  @Override
  public void cancel(long call, boolean hard) {
    JsonObject body = new JsonObject().put("call", call);
    call("function_cancel", body);
    if (hard) {
      call("function_kill", body)
          .onSuccess(
              answer -> {
                if (Boolean.TRUE.equals(answer.getBoolean("killed"))) {
                  hardCancelled++;
                }
              });
    }
  }

  @Override
  public void giveUp(int lane) {
    lanes.get(lane).giveUp();
  }

  @Override
  public int abandoned() {
    return abandoned.getAsInt();
  }

  @Override
  public long hardCancelled() {
    return hardCancelled;
  }

  @Override
  public Future<JsonObject> cache() {
    return call("function_stats", new JsonObject());
  }
}
