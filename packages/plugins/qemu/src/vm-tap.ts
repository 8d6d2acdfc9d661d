import { execFile } from "node:child_process";
import { access, constants, readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { Logger } from "@vdc-os/core";
import type { BridgePort } from "./bridge-port.ts";

/** Capability 12 of linux/capability.h. */
const capNetAdmin = 1n << 12n;
const tunDevice = "/dev/net/tun";
/** Where iproute2 is, also for users whose PATH does not say so. */
const searchPath = (): string => `${process.env.PATH ?? ""}:/usr/sbin:/sbin:/usr/bin:/bin`;

/** Why this process can't make taps, and what to do about it; `undefined` when nothing speaks against it. */
export async function tapProblem(): Promise<string | undefined> {
  const status = await readFile("/proc/self/status", "latin1").catch(() => "");
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`);
  if ((effective & capNetAdmin) === 0n) {
    return "making a tap needs CAP_NET_ADMIN: run the host's runtime as root, or with 'AmbientCapabilities=CAP_NET_ADMIN' of systemd";
  }
  try {
    await access(tunDevice, constants.R_OK | constants.W_OK);
  } catch (error) {
    return `'${tunDevice}' can't be opened (${(error as NodeJS.ErrnoException).code}): load the kernel module 'tun', or give the container that device`;
  }
  return ip(["-V"]).then(
    () => undefined,
    () => "there is no 'ip' on this host: install iproute2",
  );
}

/**
 * Makes a tap that QEMU has just made ready for its bridge. It is QEMU's: it goes when QEMU ends, however that comes about. The host itself neither says nor
 * takes anything there: a userspace datapath gets copies of frames that the host's own network would see as well.
 */
export async function setUpTap({ tap, mtu, vmId }: BridgePort, logger: Logger): Promise<void> {
  const keptOut = await Promise.all([
    writeSetting(`ipv4/conf/${tap}/rp_filter`),
    // Without IPv6 there is nothing to keep out.
    writeSetting(`ipv6/conf/${tap}/disable_ipv6`, "ENOENT"),
  ]);
  if (keptOut.includes(false)) {
    logger.warn("the host's own network can't be kept from a tap; it may answer to the VM on a userspace bridge", {
      tap,
      vmId,
    });
  }
  const settings = ["mtu", String(mtu), "arp", "off", "addrgenmode", "none", "alias", `vdc vm ${vmId}`];
  await ip(["link", "set", "dev", tap, ...settings, "up"]);
}

async function writeSetting(name: string, ...mayFail: readonly string[]): Promise<boolean> {
  return writeFile(`/proc/sys/net/${name}`, "1").then(
    () => true,
    (error: NodeJS.ErrnoException) => mayFail.includes(error.code ?? ""),
  );
}

async function ip(args: readonly string[]): Promise<void> {
  await promisify(execFile)("ip", [...args], { timeout: 5_000, env: { ...process.env, PATH: searchPath() } });
}
