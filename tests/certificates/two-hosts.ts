import { setTimeout } from "node:timers/promises";
import { createOperationContext, definePlugin, isVdcError, provides } from "@vdc-os/core";
import { type HostRuntime, hostRuntime, type ProcessStatus } from "@vdc-os/core/host/v1";
import { type PluginRegistration, use } from "@vdc-os/core/kernel";
import { startHostRuntime } from "@vdc-os/host";
import type { CertificationKit } from "@vdc-os/ready";

/** Two hosts, whose data planes are real processes. They outlive the kernels that use them. */
export interface TwoHosts {
  readonly names: readonly [string, string];
  /** Has a kernel know them. */
  readonly registration: PluginRegistration;
  /** Ends a process of a host as `kill -9` does. Resolves when its host has started it again, and it answers. */
  kill(host: string, isIt: (processId: string) => boolean): Promise<void>;
}

/** Starts them for one requirement. */
export async function startTwoHosts(kit: CertificationKit): Promise<TwoHosts> {
  const names = ["host-a", "host-b"] as const;
  const folder = kit.folder();
  const runtimes = new Map<string, HostRuntime>();
  for (const hostId of names) {
    const host = await startHostRuntime({
      hostId,
      directory: `${folder}/${hostId}`,
      resolveFrom: import.meta.url,
      firstBackOffMs: 20,
    });
    kit.defer(() => host.close({ removeProcesses: true, graceMs: 2_000 }));
    runtimes.set(hostId, host.runtime);
  }
  const hosts = definePlugin({
    name: "two-hosts",
    version: "1.0.0",
    core: "0.1",
    summary: "What a plugin that is being certified works with.",
    provides: names.map((name) => provides(hostRuntime, { name })),
    setup(context) {
      for (const [name, runtime] of runtimes) context.provide(hostRuntime, runtime, { name });
    },
  });
  return {
    names,
    registration: use(hosts),
    async kill(host, isIt) {
      const find = async (): Promise<ProcessStatus | undefined> => {
        const processes = await runtimes.get(host)?.listProcesses({}, createOperationContext());
        return processes?.find(({ processId }) => isIt(processId));
      };
      const { pid } = (await find()) ?? {};
      if (pid === undefined) throw new Error(`no such process runs on '${host}'`);
      process.kill(pid, "SIGKILL");
      for (const giveUp = Date.now() + 10_000; Date.now() < giveUp; await setTimeout(20)) {
        const now = await find();
        if (now?.pid === undefined || now.pid === pid) continue;
        // It knows no such method: whatever it says, it answers.
        const said = runtimes
          .get(host)
          ?.request({ processId: now.processId, method: "are-you-there", params: {} }, createOperationContext());
        const code = await said?.then(
          () => "OK",
          (error: unknown) => (isVdcError(error) ? error.code : "INTERNAL"),
        );
        if (code !== "UNAVAILABLE") return;
      }
      throw new Error(`the process was not started again on '${host}'`);
    },
  };
}
