// SPDX-License-Identifier: Apache-2.0
package examples;

import dev.ragbus.Ragbus;
import dev.ragbus.service.RagbusVerticle;
import io.vertx.core.Future;
import io.vertx.core.VerticleBase;
import java.util.List;

public class SearchVerticle extends VerticleBase {
  @Override
  public Future<?> start() {
    Ragbus ragbus = Ragbus.create(vertx);
    return vertx
        .deployVerticle(new RagbusVerticle())
        .compose(id -> ragbus.embed("How tall is Mont Blanc?"))
        .onSuccess(vectors -> System.out.println(vectors.dimensions() + " dimensions"))
        .compose(v -> ragbus.rerank("cat sounds", List.of("Stocks fell.", "Cats purr.")))
        .onSuccess(ranking -> System.out.println(ranking.rankedResults().get(0).text()));
  }
}
