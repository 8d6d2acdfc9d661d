import { type Bytes, type Page, type Timestamp, VdcError } from "@vdc-os/core";
import {
  type CloudInstance,
  type CloudOperation,
  type CloudStamp,
  cloudStamp,
  type CreateInstance,
  type InstanceState,
} from "@vdc-os/core/cloud/v1";
import {
  type Datacenter,
  failedCondition,
  findCondition,
  isBeingDeleted,
  type Resource,
  type VirtualMachineInput,
  type VirtualMachineSpec,
  type VirtualMachineStatus,
} from "@vdc-os/sdk";
import type { ApiService } from "./api-service.ts";

/** A size that instances can have. */
export interface InstanceSize {
  readonly name: string;
  readonly cpus: number;
  readonly memoryBytes: Bytes;
}

/** Options of {@link datacenterService}. */
export interface DatacenterServiceOptions {
  /** The version that the API reports. Defaults to `0.1.0`. */
  readonly version?: string;
  /** Defaults to {@link defaultSizes}. */
  readonly sizes?: readonly InstanceSize[];
}

const MiB = 1024 * 1024;

/** The sizes of a datacenter that says nothing else. */
export const defaultSizes: readonly InstanceSize[] = [
  { name: "small", cpus: 1, memoryBytes: 128 * MiB },
  { name: "medium", cpus: 1, memoryBytes: 512 * MiB },
  { name: "large", cpus: 2, memoryBytes: 2048 * MiB },
];

const tokenLabel = "vdc.cloud/token";
const datacenterLabel = "vdc.cloud/owner-datacenter";
const stampAnnotation = "vdc.cloud/stamp";
const sizeAnnotation = "vdc.cloud/size";

type VmObject = Resource<VirtualMachineSpec, VirtualMachineStatus>;

/**
 * A datacenter as a cloud: instances are its VMs, images its images, networks its port groups (`switch/port-group`). The stamp of a request is kept
 * with the VM in the transaction that creates it.
 */
export function datacenterService(dc: Datacenter, options: DatacenterServiceOptions = {}): ApiService {
  const { version = "0.1.0", sizes = defaultSizes } = options;
  /** Requests with one token are served one after the other, so that a repeated one finds what the first has made. */
  const creating = new Map<string, Promise<CloudInstance>>();

  const byToken = async (token: string, signal: AbortSignal): Promise<VmObject | undefined> => {
    const [vm] = await dc.vms.list({ labels: { [tokenLabel]: token }, signal });
    return vm;
  };
  const byId = async (instanceId: string, signal: AbortSignal): Promise<VmObject> => {
    const vms = await dc.vms.list({ signal });
    const vm = vms.find(({ metadata }) => metadata.uid === instanceId);
    if (vm === undefined) throw new VdcError("NOT_FOUND", `there is no instance '${instanceId}'`);
    return vm;
  };
  const instanceOf = (vm: VmObject): CloudInstance => toInstance(vm, dc.name);

  const create = async (input: CreateInstance, signal: AbortSignal): Promise<CloudInstance> => {
    const { token, owner } = input.stamp;
    const present = await byToken(token, signal);
    if (present !== undefined) return instanceOf(present);
    const { object } = await dc.vms.create(
      {
        name: input.name,
        spec: specOf(input, sizes),
        labels: { [tokenLabel]: token, [datacenterLabel]: owner.datacenter },
        annotations: { [stampAnnotation]: JSON.stringify(input.stamp), [sizeAnnotation]: input.size },
      },
      { fieldOwner: "api", signal },
    );
    if (object.metadata.labels[tokenLabel] !== token) {
      throw new VdcError("ALREADY_EXISTS", `there is an instance '${input.name}' that another request has made`);
    }
    return instanceOf(object);
  };

  return {
    about: async () => ({ name: dc.name, uid: dc.uid, version, apiVersions: ["v1"] }),
    listSizes: async (page) =>
      pageOf(
        sizes.map(({ name, cpus, memoryBytes }) => ({
          size: name,
          region: dc.name,
          cpus,
          memoryBytes,
          available: true,
        })),
        page,
      ),
    async listImages({ name, ...page }, { signal }) {
      const images = await dc.images.list({ signal });
      const shown = images.map(({ metadata }) => ({ imageId: metadata.name, name: metadata.name }));
      return pageOf(name === undefined ? shown : shown.filter((image) => image.name === name), page);
    },
    async listNetworks(page, { signal }) {
      const switches = await dc.switches.list({ signal });
      const networks = switches.flatMap(({ metadata, spec }) =>
        spec.portGroups.map((group) => `${metadata.name}/${group.name}`),
      );
      return pageOf(
        networks.map((name) => ({ networkId: name, name })),
        page,
      );
    },
    async createInstance(input, { signal }) {
      const { token } = input.stamp;
      const running = (creating.get(token) ?? Promise.resolve()).then(
        () => create(input, signal),
        () => create(input, signal),
      );
      creating.set(token, running);
      try {
        return await running;
      } finally {
        if (creating.get(token) === running) creating.delete(token);
      }
    },
    getInstance: async (instanceId, { signal }) => instanceOf(await byId(instanceId, signal)),
    async listInstances({ ownerDatacenter, changedSince, token, ...page }, { signal }) {
      const labels = {
        ...(ownerDatacenter === undefined ? {} : { [datacenterLabel]: ownerDatacenter }),
        ...(token === undefined ? {} : { [tokenLabel]: token }),
      };
      const vms = await dc.vms.list({ labels, signal });
      return pageOf(
        vms.filter((vm) => changedSince === undefined || changedAt(vm) >= changedSince).map(instanceOf),
        page,
      );
    },
    async removeInstance(instanceId, { signal }) {
      const vms = await dc.vms.list({ signal });
      const vm = vms.find(({ metadata }) => metadata.uid === instanceId);
      if (vm === undefined) return { operationId: `removed-${instanceId}`, state: "succeeded" };
      const { tenant, name, uid } = vm.metadata;
      const task = await dc.vms.delete({ tenant, name }, { ifUid: uid, signal });
      return { operationId: task.id, state: "running" };
    },
    async getOperation(operationId, { signal }): Promise<CloudOperation> {
      if (operationId.startsWith("removed-")) return { operationId, state: "succeeded" };
      const task = await dc.tasks.get(operationId, { signal });
      const state = task.state === "accepted" ? "running" : task.state;
      return { operationId, state, ...(task.error === undefined ? {} : { fault: task.error.message }) };
    },
    async readConsole(instanceId, offset, { signal }) {
      const { tenant, name } = (await byId(instanceId, signal)).metadata;
      let text = "";
      for await (const chunk of dc.vms.readConsole({ tenant, name }, { offset, signal })) {
        text += chunk.text;
        if (text.length >= 256 * 1024) break;
      }
      return { offset: offset + Buffer.byteLength(text), text };
    },
  };
}

function specOf(input: CreateInstance, sizes: readonly InstanceSize[]): VirtualMachineInput {
  const size = sizes.find(({ name }) => name === input.size);
  if (size === undefined) {
    throw new VdcError(
      "NOT_FOUND",
      `there is no size '${input.size}': there are ${sizes.map(({ name }) => `'${name}'`).join(", ")}`,
    );
  }
  const userData = input.userData ?? "";
  // The guest reads it from its kernel's command line, so it is words on one line.
  if (!/^[\x20-\x7e]{0,2048}$/.test(userData)) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      "the user data must be printable ASCII on one line, at most 2048 characters",
    );
  }
  const nics = input.networks.map((network) => {
    const [name = "", portGroup = "", ...rest] = network.split("/");
    if (name === "" || portGroup === "" || rest.length > 0) {
      throw new VdcError(
        "INVALID_ARGUMENT",
        `network '${network}' must be 'switch/port-group', as the list of networks shows them`,
      );
    }
    return { switch: name, portGroup };
  });
  return { image: input.image, cpus: size.cpus, memoryBytes: size.memoryBytes, commandLine: userData, nics };
}

function toInstance(vm: VmObject, region: string): CloudInstance {
  const { uid, name, annotations, createdAt } = vm.metadata;
  const failed = findCondition(vm.conditions, failedCondition);
  const state = stateOf(vm, failed?.status === "True");
  const stamp = stampOf(annotations[stampAnnotation]);
  return {
    instanceId: uid,
    name,
    state,
    image: vm.spec.image,
    size: annotations[sizeAnnotation] ?? "custom",
    region,
    addresses: [],
    createdAt,
    ...(stamp === undefined ? {} : { stamp }),
    ...(state === "failed" && failed !== undefined ? { fault: failed.message } : {}),
  };
}

function stateOf(vm: VmObject, failed: boolean): InstanceState {
  if (isBeingDeleted(vm)) return "deleting";
  if (failed) return "failed";
  if (vm.spec.power === "off") return "stopped";
  return vm.status.state === "running" ? "running" : "pending";
}

function stampOf(text: string | undefined): CloudStamp | undefined {
  if (text === undefined) return undefined;
  const parsed = cloudStamp.safeParse(JSON.parse(text));
  return parsed.success ? parsed.data : undefined;
}

function changedAt(vm: VmObject): Timestamp {
  return Math.max(
    vm.metadata.createdAt,
    vm.metadata.deletionRequestedAt ?? 0,
    ...vm.conditions.map((condition) => condition.lastTransitionAt),
  );
}

/** A page of a list that is small enough to be read whole. The token is the place to go on from. */
function pageOf<T>(items: readonly T[], page: { readonly limit?: number; readonly pageToken?: string }): Page<T> {
  const start = page.pageToken === undefined ? 0 : Number(page.pageToken);
  if (!Number.isInteger(start) || start < 0)
    throw new VdcError("ABORTED", "the page token is not one of this list: begin again");
  const end = start + (page.limit ?? 100);
  return { items: items.slice(start, end), ...(end < items.length ? { nextPageToken: String(end) } : {}) };
}
