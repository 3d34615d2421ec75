// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.service;

import static org.assertj.core.api.Assertions.assertThat;

import dev.ragbus.NewerJdk;
import io.vertx.core.DeploymentOptions;
import io.vertx.core.ThreadingModel;
import io.vertx.core.Vertx;
import org.junit.jupiter.api.Test;

/** Deployment on virtual threads is refused; needs a JDK 21 or newer, of which it looks for one. */
class VirtualThreadIT {
  @Test
  void isRefused() throws Exception {
    assertThat(NewerJdk.run(VirtualThreadIT.class)).isZero();
  }

  /** Exits with 0 if the deployment is refused for the right reason. */
  public static void main(String[] args) throws Exception {
    DeploymentOptions virtual =
        new DeploymentOptions().setThreadingModel(ThreadingModel.VIRTUAL_THREAD);
    Throwable failure =
        Vertx.vertx()
            .deployVerticle(RagbusVerticle.class.getName(), virtual)
            .transform(done -> io.vertx.core.Future.succeededFuture(done.cause()))
            .toCompletionStage()
            .toCompletableFuture()
            .get();
    System.out.println(failure);
    boolean right = failure != null && failure.getMessage().contains("VIRTUAL_THREAD");
    System.exit(right ? 0 : 1);
  }
}
