/** A failure that the user can act on: printed as its message alone, without a stack. */
export class SetupError extends Error {
  name = "SetupError";
}

/**
 * Says what is being done, and how long it took once it is done.
 *
 * @template T
 * @param {string} text What is being done, as in "Setting up Node.js 24".
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function step(text, work) {
  const startedAt = performance.now();
  process.stdout.write(`${text} ... `);
  try {
    const result = await work();
    process.stdout.write(`done in ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
    return result;
  } catch (error) {
    process.stdout.write("failed\n");
    throw error;
  }
}
