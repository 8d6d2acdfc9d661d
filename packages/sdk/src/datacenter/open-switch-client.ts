import { type Calls, type Clock, type FacetName, type FacetOf, VdcError } from "@vdc-os/core";
import type { DistributedSwitch, HealthCheckKind } from "@vdc-os/core/network/v1";
import type { ControlPlane } from "../controller/control-plane.ts";
import type { DatacenterProviders } from "../controllers/providers.ts";
import {
  digestOf,
  type NetworkHandle,
  nextProviderGeneration,
  type SwitchObject,
} from "../controllers/switch/switch-object.ts";
import { settleTrial } from "../controllers/switch/settle-trial.ts";
import { type VmPort, vmPortsOf } from "../controllers/switch/vm-ports.ts";
import { buildSwitchSpec } from "../decisions/build-switch-spec.ts";
import { effectivePortSetting } from "../decisions/effective-port-setting.ts";
import { portRates } from "../decisions/port-rates.ts";
import { switchProblems } from "../decisions/switch-problems.ts";
import { portNameText, type SwitchPortName } from "../kinds/switch-port-name.ts";
import { switchKind, switchKindSpec, type SwitchTrial } from "../kinds/switch-spec.ts";
import { virtualMachineKind } from "../kinds/virtual-machine-spec.ts";
import { kindClient, keyOf, type ObjectName } from "./kind-client.ts";
import type { SwitchClient, SwitchPort } from "./switch-client.ts";

type Options = { readonly signal?: AbortSignal | undefined };

/** What the client of switches works with. */
export interface SwitchClientOptions {
  readonly plane: ControlPlane;
  readonly providers: DatacenterProviders;
  readonly clock: Clock;
  /** The datacenter's uid, for owner stamps. */
  readonly datacenter: string;
}

const allChecks: readonly HealthCheckKind[] = ["path", "mtu", "vlan", "teaming"];

/** The client of switches. */
export function switchClient({ plane, providers, clock, datacenter }: SwitchClientOptions): SwitchClient {
  const client = kindClient(plane, switchKind);
  const { store } = plane;

  const locate = async (name: ObjectName, { signal }: Options) => {
    const object = await client.get(name, { signal });
    return { object, network: providers.network.get(object.spec.network), switchId: object.metadata.uid };
  };
  const vmPorts = async ({ metadata: { tenant, name } }: SwitchObject, { signal }: Options) => {
    const vms = [];
    let pageToken: string | undefined;
    do {
      const page = await store.list(virtualMachineKind, {
        tenant,
        signal,
        ...(pageToken === undefined ? {} : { pageToken }),
      });
      vms.push(...page.items);
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined);
    return { ports: vmPortsOf(vms, name), vms: new Map(vms.map((vm) => [vm.metadata.name, vm])) };
  };
  const keyIn = (object: SwitchObject, ports: ReadonlyMap<string, VmPort>, port: SwitchPortName): string => {
    if ("portKey" in port) return port.portKey;
    for (const { vm, nic, portKey } of ports.values()) if (vm === port.vm && nic === port.nic) return portKey;
    throw new VdcError("NOT_FOUND", `switch '${object.metadata.name}' has no port of VM NIC '${portNameText(port)}'`);
  };
  const locatePort = async (name: ObjectName, port: SwitchPortName, options: Options) => {
    const located = await locate(name, options);
    const ports = "portKey" in port ? new Map<string, VmPort>() : (await vmPorts(located.object, options)).ports;
    return { ...located, portKey: keyIn(located.object, ports, port) };
  };
  const statisticsOf = async (name: ObjectName, options: Options & { readonly ports?: readonly SwitchPortName[] }) => {
    const { object, network, switchId } = await locate(name, options);
    const { ports, signal } = options;
    if (ports === undefined) return network.portStatistics({ switchId }, { signal });
    const known = (await vmPorts(object, options)).ports;
    return network.portStatistics({ switchId, portKeys: ports.map((port) => keyIn(object, known, port)) }, { signal });
  };
  const endTrial = async (name: ObjectName, decision: "confirm" | "rollback", { signal }: Options) => {
    const { object, network } = await locate(name, { signal });
    const { trial } = object.status;
    const { tenant, name: switchName, uid } = object.metadata;
    if (trial === undefined) {
      throw new VdcError("FAILED_PRECONDITION", `nothing of switch '${switchName}' is on trial`, {
        reason: "VDC_NO_TRIAL",
        retryable: false,
      });
    }
    // On record first: a crash from here on does not undo what was decided.
    const decided = { ...trial, decision };
    await store.updateStatus(
      switchKind,
      { tenant, name: switchName },
      ({ status }) => ({
        status: status.trial?.rollbackToken === trial.rollbackToken ? { ...status, trial: decided } : status,
      }),
      { observedGeneration: object.metadata.observedGeneration, ifUid: uid, signal },
    );
    const end = await settleTrial(object, decided, { store, network, signal });
    if (decision === "confirm" && end === "rolledBack") {
      throw new VdcError("ABORTED", `what was on trial of switch '${switchName}' was taken back: the time was up`, {
        reason: "VDC_TRIAL_ENDED",
        retryable: false,
      });
    }
    return client.get(name, { signal });
  };

  return {
    ...client,
    async view(name, options = {}) {
      const { object, network, switchId } = await locate(name, options);
      const [status, { ports, vms }] = await Promise.all([
        network.switchStatus({ switchId }, { signal: options.signal }),
        vmPorts(object, options),
      ]);
      return {
        ...status,
        ports: status.ports.map((port): SwitchPort => {
          const owner = ports.get(port.portKey);
          const group = object.spec.portGroups.find((each) => each.name === port.portGroup);
          const policy = owner === undefined ? undefined : vms.get(owner.vm)?.spec.nics[owner.index]?.policy;
          return {
            ...port,
            ...(owner === undefined ? {} : { vm: owner.vm, nic: owner.nic, mac: owner.mac }),
            ...(group === undefined ? {} : { vlan: vlanOf(object, group, policy) }),
          };
        }),
      };
    },
    portKey: async (name, port, options = {}) => (await locatePort(name, port, options)).portKey,
    portStatistics: (name, options = {}) => statisticsOf(name, options),
    async portRates(name, options = {}) {
      const { intervalMs = 1000, signal } = options;
      const before = await statisticsOf(name, options);
      const began = clock.monotonic();
      await clock.sleep(intervalMs, signal === undefined ? {} : { signal });
      const after = await statisticsOf(name, options);
      return portRates(before, after, clock.monotonic() - began);
    },
    async effectiveSetting(name, port, options = {}) {
      const { network, switchId, portKey } = await locatePort(name, port, options);
      const { signal } = options;
      // Whichever of them is there reads back the whole setting.
      const names = [
        "securityPolicy",
        "shaping",
        "accessControl",
        "macLearning",
        "teaming",
        "pvlan",
        "mirroring",
      ] as const;
      for (const facet of names) {
        const found = await network.facet(facet, { signal });
        if (found.available) return found.operations.effectiveSetting({ switchId, portKey }, { signal });
      }
      throw new VdcError("UNIMPLEMENTED", `network '${network.name}' does not tell which settings are in force`);
    },
    async *capture(name, port, options = {}) {
      const { snapLength = 65_535, maxFrames = Number.MAX_SAFE_INTEGER, signal } = options;
      const { network, switchId, portKey } = await locatePort(name, port, options);
      const facet = await facetOf(network, "capture", options);
      yield* facet.capturePort({ switchId, portKey, snapLength, maxFrames }, { signal });
    },
    async explain(name, port, frame, options = {}) {
      const { network, switchId, portKey } = await locatePort(name, port, options);
      const facet = await facetOf(network, "explain", options);
      return facet.explainFrame({ switchId, portKey, frame: Buffer.from(frame).toString("base64") }, options);
    },
    async healthCheck(name, options = {}) {
      const { checks = allChecks, signal } = options;
      const { network, switchId } = await locate(name, options);
      return (await facetOf(network, "healthCheck", options)).runHealthCheck({ switchId, checks }, { signal });
    },
    async neighbours(name, options = {}) {
      const { network, switchId } = await locate(name, options);
      return (await facetOf(network, "discovery", options)).neighbours({ switchId }, { signal: options.signal });
    },
    async uplinkStates(name, options = {}) {
      const { network, switchId } = await locate(name, options);
      return (await facetOf(network, "teaming", options)).uplinkStates({ switchId }, { signal: options.signal });
    },
    async loadBalancers(name, options = {}) {
      const { network, switchId } = await locate(name, options);
      return (await facetOf(network, "loadBalancing", options)).loadBalancers({ switchId }, { signal: options.signal });
    },
    async exportConfig(name, { signal } = {}) {
      const { object, network, switchId } = await locate(name, { signal });
      const facet = await network.facet("configArchive", { signal });
      const provider = facet.available ? await facet.operations.exportConfig({ switchId }, { signal }) : undefined;
      const { metadata, spec } = object;
      return {
        format: "vdc.switch.config/1",
        name: metadata.name,
        spec,
        ...(provider === undefined ? {} : { provider }),
      };
    },
    async importConfig(archive, options = {}) {
      const { as = archive.name, overwrite = false, signal } = options;
      const key = keyOf(as);
      const format: string = archive.format;
      if (format !== "vdc.switch.config/1") {
        throw new VdcError("INVALID_ARGUMENT", `'${format}' is no format of a switch's configuration`);
      }
      const present = await client.find(key, { signal });
      if (present === undefined) return client.create({ ...key, spec: archive.spec }, { signal });
      if (!overwrite) {
        throw new VdcError("ALREADY_EXISTS", `there is a switch '${key.name}' already: say 'overwrite' to change it`);
      }
      return client.update(key, archive.spec, { signal, ifUid: present.metadata.uid });
    },
    async applyOnTrial(name, input, { confirmWithinMs, signal }) {
      const { object, network } = await locate(name, { signal });
      const { tenant, name: switchName, uid, generation: specGeneration } = object.metadata;
      if (object.status.trial !== undefined) {
        throw new VdcError("FAILED_PRECONDITION", `something of switch '${switchName}' is on trial: end that first`, {
          reason: "VDC_ON_TRIAL",
          retryable: false,
        });
      }
      const parsed = switchKindSpec.safeParse(typeof input === "function" ? input(object) : input);
      if (!parsed.success)
        throw refused(
          switchName,
          parsed.error.issues.map(({ path, message }) => `/${path.join("/")} ${message}`),
        );
      const spec = parsed.data;
      if (spec.network !== object.spec.network)
        throw refused(switchName, ["/network cannot be changed after creation"]);
      const problems = switchProblems(spec);
      if (problems.length > 0)
        throw refused(
          switchName,
          problems.map(({ path, message }) => `${path} ${message}`),
        );
      const { ports } = await vmPorts(object, { signal });
      const keys = new Map([...ports.values()].map(({ vm, nic, portKey }) => [`${vm}/${nic}`, portKey]));
      const owner = { datacenter, kind: switchKind.kind, uid, name: switchName, tenant };
      const { spec: built } = buildSwitchSpec(spec, {
        switchId: uid,
        name: switchName,
        owner,
        portKeyOf: ({ vm, nic }) => keys.get(`${vm}/${nic}`),
      });
      const archive = await facetOf(network, "configArchive", { signal });
      const generation = nextProviderGeneration(object);
      // On record first, so that this generation is given to nothing else; without a token yet, which nobody knows.
      const trialOf = (rollbackToken: string): SwitchTrial => ({
        rollbackToken,
        generation,
        specGeneration,
        specDigest: digestOf(built),
        spec,
        deadline: clock.now() + confirmWithinMs,
      });
      const write = (change: (status: SwitchObject["status"]) => SwitchObject["status"]) =>
        store.updateStatus(switchKind, { tenant, name: switchName }, ({ status }) => ({ status: change(status) }), {
          observedGeneration: object.metadata.observedGeneration,
          ifUid: uid,
          signal,
        });
      await write((status) => ({ ...status, highestGeneration: generation, trial: trialOf("none") }));
      try {
        const { rollbackToken } = await archive.applyWithRollback(
          { spec: built, generation, confirmWithinMs },
          { signal },
        );
        const trial = trialOf(rollbackToken);
        await write((status) => ({ ...status, trial }));
        return trial;
      } catch (error) {
        await write(({ trial: _, ...status }) => status);
        throw error;
      }
    },
    confirmTrial: (name, options = {}) => endTrial(name, "confirm", options),
    rollbackTrial: (name, options = {}) => endTrial(name, "rollback", options),
  };
}

function vlanOf(
  { spec }: SwitchObject,
  group: SwitchObject["spec"]["portGroups"][number],
  policy: Parameters<typeof effectivePortSetting>[2],
) {
  const overridden = group.overrides.includes("vlan") ? policy?.vlan : undefined;
  return overridden ?? effectivePortSetting(spec.policy, group).vlan;
}

function refused(name: string, problems: readonly string[]): VdcError {
  return new VdcError("INVALID_ARGUMENT", `Switch '${name}' is refused: ${problems.join("; ")}`, {
    reason: "VDC_ADMISSION_REFUSED",
    retryable: false,
  });
}

async function facetOf<Name extends FacetName<DistributedSwitch>>(
  network: NetworkHandle,
  name: Name,
  { signal }: Options,
): Promise<Calls<FacetOf<DistributedSwitch, Name>>> {
  const facet = await network.facet(name, { signal });
  if (facet.available) return facet.operations;
  throw new VdcError("UNIMPLEMENTED", `network '${network.name}' has no facet '${name}': ${facet.reason}`);
}
