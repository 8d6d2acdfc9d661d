// A kernel for tests
export { type CreateTestKernelOptions, createTestKernel } from "./testing/create-test-kernel.ts";
export { type Fake, fake } from "./testing/fake.ts";
export { LeakCheck } from "./testing/leak-check.ts";

// Time and randomness that tests decide
export { type CreateTestClockOptions, createTestClock, type TestClock } from "./testing/test-clock.ts";
export { createTestRandom } from "./testing/test-random.ts";
