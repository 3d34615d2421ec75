package kotlinuser

import dev.ragbus.Ragbus
import dev.ragbus.RagbusException
import dev.ragbus.service.RagbusVerticle
import io.vertx.core.Future
import io.vertx.core.Vertx
import kotlinx.coroutines.async
import kotlinx.coroutines.awaitAll
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.future.await

/** As vertx-lang-kotlin-coroutines has it, which is not published for this version of Vert.x. */
suspend fun <T> Future<T>.coAwait(): T = toCompletionStage().await()

/** A Vert.x application in Kotlin, with coroutines. */
suspend fun main() {
  val vertx = Vertx.vertx()
  try {
    vertx.deployVerticle(RagbusVerticle()).coAwait()
    val ragbus = Ragbus.create(vertx)

    val vectors = coroutineScope {
      List(8) { async { ragbus.embed("Cats purr.", "number $it").coAwait() } }.awaitAll()
    }
    check(vectors.all { it.dimensions() == 384 && it.count() == 2 })
    check(vectors.map { it.row(1).toList() }.toSet().size == 8)

    val ranking = ragbus.rerank("cat sounds", listOf("Stocks fell.", "Cats purr.")).coAwait()
    check(ranking.rankedResults().first().text() == "Cats purr.")

    val refusal = runCatching { ragbus.withTimeout(java.time.Duration.ofSeconds(5)).model("none").coAwait() }
    check((refusal.exceptionOrNull() as RagbusException).kind() == RagbusException.Kind.MODEL_NOT_FOUND)
  } finally {
    vertx.close().coAwait()
  }
}
