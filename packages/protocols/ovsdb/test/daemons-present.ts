import { type DaemonSuite, missingPrograms } from "@vdc-os/ovsdb/testing";

/** Whether the daemons of a suite are here. Where CI is set an absent one is a failure; elsewhere the loss is said aloud. */
export function daemonsPresent(suite: DaemonSuite): boolean {
  const missing = missingPrograms(suite);
  if (missing.length === 0) return true;
  const text = `not installed: ${missing.join(", ")}; what they would judge is not tested`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED: ${text}`);
  return false;
}
