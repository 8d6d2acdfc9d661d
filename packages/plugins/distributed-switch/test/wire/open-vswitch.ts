import { missingPrograms } from "@vdc-os/ovsdb/testing";

/** Whether Open vSwitch is here; says loudly when it isn't, and fails where it must be. */
export function hasOpenVswitch(): boolean {
  const missing = missingPrograms("openvswitch");
  if (missing.length === 0) return true;
  const reason = `Open vSwitch is not installed whole: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(`${reason}; it must be where CI is set`);
  console.warn(`SKIPPED: ${reason}, so nothing was exchanged with it`);
  return false;
}
