import type { ExtensionPoint } from "@vdc-os/core";

/** What a host's runtime is opened with. */
export interface HostOpenOptions {
  /** The datacenter's uid: it owns what runs on the host. */
  readonly datacenter: string;
  /** The host's own folder. */
  readonly directory: string;
  /** Whether the host ends what it runs when the manager is gone for good. */
  readonly ephemeral: boolean;
  readonly signal: AbortSignal;
}

/**
 * How a datacenter reaches a host. `@vdc-os/host` makes one for a host on this machine, the simulator one for a host that is not there; it is a
 * structural type, so that neither needs to know this package.
 */
export interface HostLink {
  /** The host's name, unique in the datacenter. */
  readonly name: string;
  /** Finds the host's runtime running, or starts it. */
  open(options: HostOpenOptions): Promise<HostConnection>;
  /** Ends and removes everything of a host's folder that a kill has left behind. */
  sweep(options: { readonly directory: string; readonly datacenter: string | undefined }): Promise<void>;
}

/** A host that answers. */
export interface HostConnection {
  /** What its runtime provides: the point's id, and the provider's name. */
  providers(): readonly { readonly point: string; readonly name: string }[];
  /** An implementation that stands for the provider on the host. */
  provider<T>(point: ExtensionPoint<T>, name: string): T;
  /** Resolves with the reason when the host does not answer any more. */
  readonly closed: Promise<string>;
  /** Leaves the host: running, or, with `stop`, with nothing left of it. */
  close(options: { readonly stop: boolean }): Promise<void>;
}
