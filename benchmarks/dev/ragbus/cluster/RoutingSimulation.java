// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static dev.ragbus.cluster.SimulatedFront.Policy.LEAST_KNOWN;
import static dev.ragbus.cluster.SimulatedFront.Policy.LEAST_TOLD;
import static dev.ragbus.cluster.SimulatedFront.Policy.ONE_QUEUE;
import static dev.ragbus.cluster.SimulatedFront.Policy.RAGBUS;
import static dev.ragbus.cluster.SimulatedFront.Policy.RAGBUS_NEAR;
import static dev.ragbus.cluster.SimulatedFront.Policy.RANDOM;
import static dev.ragbus.cluster.SimulatedFront.Policy.ROUND_ROBIN;
import static dev.ragbus.cluster.SimulatedFront.Policy.TWO_DRAWN_ALIKE;

import dev.ragbus.cluster.SimulatedCluster.Figures;
import dev.ragbus.cluster.SimulatedCluster.Setting;
import dev.ragbus.cluster.SimulatedFront.Policy;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Simulates the routing of a cluster in virtual time and prints a line of CSV for each setting. The
 * same seed gives the same figures.
 *
 * <p>Arguments, all optional: the share of the requests to run (1 for all), the part ({@code load},
 * {@code speeds}, {@code fronts}, {@code near}), the number of workers.
 */
final class RoutingSimulation {
  private static final long SEED = 1;
  private static final int FRONTS = 4;
  private static final double ANNOUNCE_SECONDS = 0.25;

  private record Run(String part, Setting setting) {}

  private final double share;
  private final List<Run> runs = new ArrayList<>();

  private RoutingSimulation(double share) {
    this.share = share;
  }

  public static void main(String[] arguments) {
    RoutingSimulation simulation =
        new RoutingSimulation(arguments.length > 0 ? Double.parseDouble(arguments[0]) : 1);
    simulation.planLoad();
    simulation.planSpeeds();
    simulation.planFronts();
    simulation.planNear();
    System.out.println(
        "part,policy,workers,fast,fronts,load,announce_ms,requests,wait_p50_ms,wait_p99_ms,"
            + "answer_p50_ms,answer_p99_ms,query_p50_ms,query_p99_ms,utilisation");
    simulation.runs.stream()
        .filter(run -> arguments.length < 2 || run.part.equals(arguments[1]))
        .filter(
            run -> arguments.length < 3 || run.setting.workers() == Integer.parseInt(arguments[2]))
        .forEach(RoutingSimulation::print);
  }

  /** Workers that are all alike. */
  private void planLoad() {
    for (int workers : new int[] {2, 4, 8, 16, 64, 256, 1000}) {
      for (double load :
          workers == 1000 ? new double[] {0.9} : new double[] {0.5, 0.7, 0.9, 0.95}) {
        for (Policy policy : List.of(RAGBUS, ROUND_ROBIN, RANDOM, LEAST_TOLD, ONE_QUEUE)) {
          plan("load", policy, workers, 0, FRONTS, load, ANNOUNCE_SECONDS);
        }
      }
    }
  }

  /** A tenth of the workers are GPUs. */
  private void planSpeeds() {
    for (int workers : new int[] {10, 60, 250}) {
      for (double load : new double[] {0.5, 0.7, 0.9}) {
        for (Policy policy : List.of(RAGBUS, TWO_DRAWN_ALIKE, ROUND_ROBIN, LEAST_TOLD, ONE_QUEUE)) {
          plan("speeds", policy, workers, workers / 10, FRONTS, load, ANNOUNCE_SECONDS);
        }
      }
    }
  }

  /** How much fronts know of each other's requests. */
  private void planFronts() {
    for (int fronts : new int[] {1, 4, 16}) {
      for (double seconds : new double[] {0.025, 0.1, 0.25, 0.5, 1, 2}) {
        for (Policy policy : List.of(RAGBUS, LEAST_KNOWN, LEAST_TOLD)) {
          plan("fronts", policy, 64, 0, fronts, 0.9, seconds);
        }
      }
    }
  }

  /** A front in each worker's process. */
  private void planNear() {
    for (int workers : new int[] {4, 16, 64}) {
      for (double load : new double[] {0.7, 0.9}) {
        for (Policy policy : List.of(RAGBUS, RAGBUS_NEAR)) {
          plan("near", policy, workers, 0, workers, load, ANNOUNCE_SECONDS);
        }
      }
    }
  }

  private void plan(
      String part, Policy policy, int workers, int fast, int fronts, double load, double seconds) {
    int requests = (int) (share * Math.max(40_000, 400 * workers));
    runs.add(
        new Run(part, new Setting(policy, workers, fast, fronts, load, seconds, requests, SEED)));
  }

  private static void print(Run run) {
    Setting setting = run.setting;
    Figures figures = SimulatedCluster.run(setting);
    System.out.printf(
        Locale.ROOT,
        "%s,%s,%d,%d,%d,%s,%.0f,%d,%.1f,%.1f,%.1f,%.1f,%.1f,%.1f,%.3f%n",
        run.part,
        setting.policy().name().toLowerCase(Locale.ROOT),
        setting.workers(),
        setting.fast(),
        setting.fronts(),
        setting.load(),
        setting.announceSeconds() * 1000,
        setting.requests(),
        figures.waiting().p50Millis(),
        figures.waiting().p99Millis(),
        figures.answer().p50Millis(),
        figures.answer().p99Millis(),
        figures.query().p50Millis(),
        figures.query().p99Millis(),
        figures.utilisation());
  }
}
