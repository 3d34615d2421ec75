// SPDX-License-Identifier: Apache-2.0
package dev.ragbus.cluster;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class BacklogTest {
  private final Backlog backlog = new Backlog();

  @Test
  void hasNothingAtFirst() {
    assertThat(backlog.tokens()).isZero();
    assertThat(backlog.waitSeconds()).isZero();
    assertThat(backlog.tokensPerSecond()).isEqualTo(Backlog.FIRST_TOKENS_PER_SECOND);
  }

  @Test
  void whatItIsSentCountsAtOnceAndUntilItIsOver() {
    backlog.sent(100);
    backlog.sent(20);
    assertThat(backlog.tokens()).isEqualTo(120);

    backlog.ended(100);
    assertThat(backlog.tokens()).isEqualTo(20);
  }

  @Test
  void whatOthersSentCountsAsItWasLastTold() {
    backlog.announced(500, 0);
    backlog.sent(100);
    assertThat(backlog.tokens()).isEqualTo(600);

    backlog.announced(150, 0);
    assertThat(backlog.tokens()).isEqualTo(150);
  }

  @Test
  void whatIsToldWithItsOwnRequestsIsNotCountedTwice() {
    backlog.sent(100);
    backlog.announced(400, 0);
    assertThat(backlog.tokens()).isEqualTo(400);

    backlog.ended(100);
    assertThat(backlog.tokens()).isEqualTo(300);
  }

  @Test
  void whatWasSentBesideTheAnnouncementCounts() {
    backlog.sent(100);
    backlog.announced(0, 0);
    assertThat(backlog.tokens()).isEqualTo(100);

    backlog.ended(100);
    assertThat(backlog.tokens()).isZero();
  }

  @Test
  void itsWaitIsByTheSpeedThatWasTold() {
    backlog.sent(1_000);
    assertThat(backlog.waitSeconds()).isEqualTo(1_000 / Backlog.FIRST_TOKENS_PER_SECOND);

    backlog.announced(3_000, 2_000);
    assertThat(backlog.waitSeconds()).isEqualTo(1.5);
    assertThat(backlog.tokensPerSecond()).isEqualTo(2_000);
  }

  @Test
  void aSpeedThatIsNotKnownAnyMoreIsTheFirst() {
    backlog.announced(3_000, 2_000);
    backlog.announced(3_000, 0);

    assertThat(backlog.tokensPerSecond()).isEqualTo(Backlog.FIRST_TOKENS_PER_SECOND);
  }
}
