import type { ApiClient } from "@vdc-os/api-client";
import { type Description, type OperationContext, type Page, type PageRequest, VdcError } from "@vdc-os/core";
import type {
  CloudConnector,
  CloudImage,
  CloudInstance,
  CloudNetwork,
  CloudOperation,
  CreateInstance,
  CredentialReport,
  InstanceObservation,
  Offering,
} from "@vdc-os/core/cloud/v1";

/** The version that the connector reports. */
const version = "0.1.0";

/** Gives the client for a call: with the token as it is now, so that a rotated one is used at once. */
export type ClientOf = (context: OperationContext) => ApiClient | Promise<ApiClient>;

/**
 * A cloud that is another VDC-OS datacenter, reached through its HTTP API. The owner stamp travels in the request that creates, and the
 * other side keeps it with the instance, so that an instance is found by its token after a crash or a lost answer.
 */
export class ExternalCloudConnector implements CloudConnector {
  readonly #clientOf: ClientOf;

  constructor(clientOf: ClientOf) {
    this.#clientOf = clientOf;
  }

  async describe(_input: unknown, context: OperationContext): Promise<Description> {
    const about = await (await this.#clientOf(context)).about({ signal: context.signal });
    const evidence = `the API of datacenter '${about.name}' (VDC-OS ${about.version}) has no such call`;
    const absent = (what: string) =>
      ({
        status: "unavailable",
        reason: `${what} of another VDC-OS datacenter can't be used from outside yet`,
        evidence,
      }) as const;
    return {
      implementation: { name: "@vdc-os/plugin-external-cloud", version, simulated: false },
      facets: {
        power: absent("power control"),
        images: absent("image upload"),
        volumes: absent("volumes"),
        vapp: absent("vApps"),
        pricing: absent("prices"),
        quotas: absent("quotas"),
        events: absent("events"),
        stretchedNetwork: absent("networks"),
      },
      attributes: { stamp: "same-request", regions: [about.name], datacenter: about.uid },
    };
  }

  async checkCredentials(_input: unknown, context: OperationContext): Promise<CredentialReport> {
    const about = await (await this.#clientOf(context)).about({ signal: context.signal });
    return { identity: `token of datacenter '${about.name}'`, missingPermissions: [] };
  }

  async listOfferings(
    input: PageRequest & { readonly region?: string },
    context: OperationContext,
  ): Promise<Page<Offering>> {
    const { region, ...request } = input;
    const page = await (await this.#clientOf(context)).listSizes(request, { signal: context.signal });
    // The API does not choose by region: a page may so have fewer items than were asked for, which a page may.
    return { ...page, items: page.items.filter((offer) => region === undefined || offer.region === region) };
  }

  async listImages(
    input: PageRequest & { readonly name?: string },
    context: OperationContext,
  ): Promise<Page<CloudImage>> {
    return (await this.#clientOf(context)).listImages(input, { signal: context.signal });
  }

  async listNetworks(input: PageRequest, context: OperationContext): Promise<Page<CloudNetwork>> {
    return (await this.#clientOf(context)).listNetworks(input, { signal: context.signal });
  }

  async createInstance(input: CreateInstance, context: OperationContext): Promise<CloudInstance> {
    return (await this.#clientOf(context)).createInstance(input, { signal: context.signal });
  }

  async observeInstance(
    input: { readonly by: { readonly instanceId: string } | { readonly token: string } },
    context: OperationContext,
  ): Promise<InstanceObservation> {
    const options = { signal: context.signal };
    if ("instanceId" in input.by) {
      const instance = await (await this.#clientOf(context)).getInstance(input.by.instanceId, options);
      return instance === undefined ? { state: "absent" } : { state: "present", instance };
    }
    const { items } = await (await this.#clientOf(context)).listInstances({ token: input.by.token, limit: 2 }, options);
    const [instance] = items;
    if (instance === undefined) return { state: "absent" };
    if (items.length === 1) return { state: "present", instance };
    return { state: "ambiguous", instances: items, reason: `${items.length} instances carry the token` };
  }

  async removeInstance(input: { readonly instanceId: string }, context: OperationContext): Promise<CloudOperation> {
    return (await this.#clientOf(context)).removeInstance(input.instanceId, { signal: context.signal });
  }

  async listInstances(
    input: PageRequest & { readonly ownerDatacenter?: string; readonly changedSince?: number },
    context: OperationContext,
  ): Promise<Page<CloudInstance>> {
    return (await this.#clientOf(context)).listInstances(input, { signal: context.signal });
  }

  async getOperation(input: { readonly operationId: string }, context: OperationContext): Promise<CloudOperation> {
    return (await this.#clientOf(context)).getOperation(input.operationId, { signal: context.signal });
  }
}

/** Refuses an address that the token should not be sent to in the clear. */
export function checkAddress(baseUrl: string): void {
  const url = new URL(baseUrl);
  const loopback = url.hostname === "localhost" || url.hostname === "[::1]" || /^127\./.test(url.hostname);
  if (url.protocol === "http:" && !loopback) {
    throw new VdcError(
      "INVALID_ARGUMENT",
      `'${url.origin}' would carry the token in the clear: use https, or an address of this machine`,
    );
  }
}
