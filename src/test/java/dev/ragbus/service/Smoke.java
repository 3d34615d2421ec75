package dev.ragbus.service;
import dev.ragbus.*;
import io.vertx.core.*;
public class Smoke {
  public static void main(String[] a) { try { run(a); } catch (Throwable t) { t.printStackTrace(); } System.exit(0); }
  static void run(String[] a) throws Exception {
    long t0=System.nanoTime();
    Vertx vertx = Vertx.vertx();
    vertx.deployVerticle(new RagbusVerticle()).toCompletionStage().toCompletableFuture().get();
    System.out.println("deployed in "+(System.nanoTime()-t0)/1000000);
    Ragbus r = Ragbus.create(vertx);
    var e = r.embed("How tall is Mont Blanc?","x").toCompletionStage().toCompletableFuture().get();
    System.out.println(e+" "+e.row(0)[0]+" "+(System.nanoTime()-t0)/1000000);
    System.out.println(r.rerank("cats", java.util.List.of("dogs bark","cats purr")).toCompletionStage().toCompletableFuture().get());
    System.out.println(r.listModels().toCompletionStage().toCompletableFuture().get());
    System.out.println(r.health().toCompletionStage().toCompletableFuture().get());
    System.out.println(r.stats().toCompletionStage().toCompletableFuture().get());
    System.out.println(r.tokenize(new TokenizeRequest(java.util.List.of("héllo 😀 world"),null,null)).toCompletionStage().toCompletableFuture().get());
    for(int k=0;k<3;k++){ long t=System.nanoTime(); int n=2000; for(int i=0;i<n;i++) r.embed("How tall is Mont Blanc?").toCompletionStage().toCompletableFuture().get(); System.out.println("one query us "+(System.nanoTime()-t)/1000/n);}
    System.out.println(r.cleanup().toCompletionStage().toCompletableFuture().get());
    long t=System.nanoTime();
    vertx.close().toCompletionStage().toCompletableFuture().get();
    System.out.println("closed in "+(System.nanoTime()-t)/1000000);
  }
}
