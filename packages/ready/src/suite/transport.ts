import type { Contract, ExtensionPoint } from "@vdc-os/core";

/** How a suite reaches the implementation: by a call, or over the pipe that plugins in other processes are reached by. */
export type Transport = "direct" | "pipe";

/** An implementation, over a transport. */
export interface OpenTransport<T> {
  readonly provider: T;
  readonly close: () => Promise<void>;
}

/** Reaches an implementation over a transport. */
export async function openTransport<T extends Contract>(
  point: ExtensionPoint<T>,
  implementation: T,
  transport: Transport,
): Promise<OpenTransport<T>> {
  if (transport === "direct") return { provider: implementation, close: async () => {} };
  const { openPipe } = await import("./pipe-transport.ts");
  return openPipe(point, implementation);
}
