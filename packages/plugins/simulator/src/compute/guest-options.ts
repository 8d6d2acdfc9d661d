import type { BootSource } from "@vdc-os/core/compute/v1";

/** What a kernel command line tells a guest, in the words of the VDC-OS test guest. */
export interface GuestOptions {
  readonly host: string;
  /** `ADDRESS/LENGTH`. */
  readonly ip: string | undefined;
  /** What it fetches once it is up: `http://ADDRESS/PATH`. */
  readonly fetch: string | undefined;
}

/** Reads `vdc.host`, `vdc.ip` and `vdc.fetch`. */
export function readGuestOptions(boot: BootSource): GuestOptions {
  const words = boot.kind === "kernel" ? boot.commandLine.split(/\s+/) : [];
  const find = (name: string): string | undefined =>
    words.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1);
  return { host: find("vdc.host") ?? "guest", ip: find("vdc.ip"), fetch: find("vdc.fetch") };
}
