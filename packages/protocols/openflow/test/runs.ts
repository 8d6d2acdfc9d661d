/** How property tests run: always the same, and longer where there is time. */
export const runs: { readonly seed: number; readonly numRuns: number } = {
  seed: 20_261_123,
  numRuns: process.env.VDC_DEEP ? 50_000 : 2_000,
};
