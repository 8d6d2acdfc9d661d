import { execFileSync, spawnSync } from "node:child_process";
import { nativeNetwork } from "../../src/wire/tap/native-network-calls.ts";

/**
 * Whether taps and network namespaces can be made here; says loudly when not. Where CI is set, a missing tool is a failure; a missing right
 * is the machine's affair.
 */
export function hasNamespaces(): boolean {
  const reason = whyNot();
  if (reason === undefined) return true;
  console.warn(`SKIPPED: ${reason}, so nothing was exchanged with the Linux kernel`);
  return false;
}

function whyNot(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "network namespaces need Linux and root";
  // The first words of any use: a system without the right or the kernel's part says so here.
  const name = `vdcw-${process.pid}-probe`;
  const { status, stderr, error } = spawnSync("ip", ["netns", "add", name], { encoding: "utf8" });
  const missing = [
    ...(error === undefined ? [] : ["'ip' is not installed"]),
    ...(spawnSync("ethtool", ["--version"]).error === undefined ? [] : ["'ethtool' is not installed"]),
    ...[nativeNetwork().reason ?? []].flat(),
  ].join("; ");
  if (status === 0) execFileSync("ip", ["netns", "del", name]);
  if (missing !== "" && process.env.CI) throw new Error(`${missing}; it must be where CI is set`);
  if (missing !== "") return missing;
  return status === 0 ? undefined : `network namespaces can't be made: ${stderr.trim()}`;
}

let count = 0;

/** A network namespace of this process's; it and all in it go when it is disposed of, or when a later run finds its process dead. */
export class NetworkNamespace implements Disposable {
  readonly name: string;

  constructor() {
    sweep();
    count += 1;
    this.name = `vdcw-${process.pid}-${count}`;
    execFileSync("ip", ["netns", "add", this.name]);
    this.ip("link set lo up");
  }

  /** Runs an `ip` command in the namespace. */
  ip(command: string): string {
    return execFileSync("ip", ["-n", this.name, ...command.split(" ")], { encoding: "utf8" });
  }

  /** Words that run a program in the namespace. */
  get exec(): readonly ["ip", ...string[]] {
    return ["ip", "netns", "exec", this.name];
  }

  /** Has the kernel finish checksums by itself: nobody behind a tap or a tunnel of ours does it. */
  withoutOffloads(interfaceName: string): void {
    const [program, ...args] = this.exec;
    const off = ["tx", "gso", "tso", "gro"].flatMap((each) => [each, "off"]);
    execFileSync(program, [...args, "ethtool", "-K", interfaceName, ...off], { stdio: "ignore" });
  }

  /** Moves an interface of this process's namespace here. */
  take(interfaceName: string): void {
    execFileSync("ip", ["link", "set", interfaceName, "netns", this.name]);
  }

  [Symbol.dispose](): void {
    remove(this.name);
  }
}

function remove(name: string): void {
  const { stdout } = spawnSync("ip", ["netns", "pids", name], { encoding: "utf8" });
  for (const pid of (stdout ?? "").split("\n").filter(Boolean)) {
    try {
      process.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended by itself.
    }
  }
  spawnSync("ip", ["netns", "del", name]);
}

/** Removes what runs left that were killed. */
function sweep(): void {
  const { stdout } = spawnSync("ip", ["netns", "list"], { encoding: "utf8" });
  for (const [name, pid] of (stdout ?? "").matchAll(/^vdcw-(\d+)-\S+/gm)) {
    try {
      process.kill(Number(pid), 0);
    } catch {
      remove(name);
    }
  }
}
