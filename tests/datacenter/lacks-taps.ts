import { accessSync, constants, readFileSync } from "node:fs";

/** Capability 12 of linux/capability.h. */
const capNetAdmin = 1n << 12n;

/**
 * Whether a test must be skipped because taps can't be made here; says so, and what is then not tested. In continuous integration it is a failure where tests
 * run as root.
 */
export function lacksTaps(consequence: string): boolean {
  const why = tapProblem();
  if (why === undefined) return false;
  const text = `${why}; ${consequence}.`;
  if (process.env.CI && process.getuid?.() === 0) throw new Error(text);
  console.warn(text);
  return true;
}

function tapProblem(): string | undefined {
  try {
    accessSync("/dev/net/tun", constants.R_OK | constants.W_OK);
    const [, effective = "0"] = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
    return (BigInt(`0x${effective}`) & capNetAdmin) === 0n ? "Making taps needs root, or CAP_NET_ADMIN" : undefined;
  } catch {
    return "There is no '/dev/net/tun' on this machine";
  }
}
