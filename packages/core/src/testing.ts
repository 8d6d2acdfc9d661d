// Time and randomness that tests decide
export { type CreateTestClockOptions, createTestClock, type TestClock } from "./testing/test-clock.ts";
export { createTestRandom } from "./testing/test-random.ts";
