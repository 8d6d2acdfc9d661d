// Service Identity of the CSI specification, version 1.
import { integer, list, type Message, message, nested, text, textMap } from "../grpc/message.ts";
import { type Method, method } from "../grpc/method.ts";
import { boolValue, type Empty, empty, type TextMap } from "./volume-messages.ts";

export interface PluginInfo {
  readonly name: string;
  readonly vendorVersion: string;
  readonly manifest: TextMap;
}

const pluginInfo: Message<PluginInfo> = message("GetPluginInfoResponse", {
  name: text(1),
  vendorVersion: text(2),
  manifest: textMap(3),
});

/** A capability's number. */
export interface WireType {
  readonly type: number;
}

const wireType: Message<WireType> = message("Type", { type: integer(1) });

/** Services that a plugin has, by their numbers on the wire. */
export const pluginServices: { readonly controller: 1; readonly accessibilityConstraints: 2 } = {
  controller: 1,
  accessibilityConstraints: 2,
};

/** How volumes can grow, by their numbers on the wire. */
export const volumeExpansions: { readonly online: 1; readonly offline: 2 } = { online: 1, offline: 2 };

/** One of both is set. */
export interface PluginCapability {
  readonly service: WireType | undefined;
  readonly volumeExpansion: WireType | undefined;
}

const pluginCapability: Message<PluginCapability> = message("PluginCapability", {
  service: nested(1, () => wireType),
  volumeExpansion: nested(2, () => wireType),
});

export interface PluginCapabilities {
  readonly capabilities: readonly PluginCapability[];
}

const pluginCapabilities: Message<PluginCapabilities> = message("GetPluginCapabilitiesResponse", {
  capabilities: list(1, () => pluginCapability),
});

/** Without `ready` the plugin is. */
export interface ProbeResponse {
  readonly ready: { readonly value: boolean } | undefined;
}

const probeResponse: Message<ProbeResponse> = message("ProbeResponse", { ready: nested(1, () => boolValue) });

/** A capability of the controller or of the node: the number of an RPC. */
export interface RpcCapability {
  readonly rpc: WireType | undefined;
}

const rpcCapability: Message<RpcCapability> = message("ServiceCapability", { rpc: nested(1, () => wireType) });

export interface RpcCapabilities {
  readonly capabilities: readonly RpcCapability[];
}

/** What `ControllerGetCapabilities` and `NodeGetCapabilities` answer. */
export const rpcCapabilities: Message<RpcCapabilities> = message("GetCapabilitiesResponse", {
  capabilities: list(1, () => rpcCapability),
});

const path = (name: string): string => `/csi.v1.Identity/${name}`;

/** The methods of the service. */
export const identity: {
  readonly getPluginInfo: Method<Empty, PluginInfo>;
  readonly getPluginCapabilities: Method<Empty, PluginCapabilities>;
  readonly probe: Method<Empty, ProbeResponse>;
} = {
  getPluginInfo: method(path("GetPluginInfo"), empty, pluginInfo),
  getPluginCapabilities: method(path("GetPluginCapabilities"), empty, pluginCapabilities),
  probe: method(path("Probe"), empty, probeResponse),
};
