import { createOperationContext, type OperationContext } from "@vdc-os/core";
import type { DistributedSwitch, FilterRule, PortSetting, SwitchSpec } from "@vdc-os/core/network/v1";
import { missingPrograms } from "@vdc-os/ovsdb/testing";
import type { NetworkInstance, SuiteNic } from "@vdc-os/ready/network";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodePacket, encodePacket, type Packet } from "./ip-frames.ts";
import { TestFabric } from "./ovn-instance.ts";

const missing = missingPrograms("ovn");
if (missing.length > 0) {
  const text = `not installed: ${missing.join(", ")}`;
  if (process.env.CI) throw new Error(text);
  console.warn(`SKIPPED, ${text}: filters and load balancers of OVN`);
}

const gateway = "52:54:00:00:00:01";

interface Vm {
  readonly mac: string;
  readonly address: string;
  readonly heard: Packet[];
  send(packet: Omit<Packet, "from" | "source"> & Partial<Packet>): void;
}

/** VMs with these last parts of their addresses, on the chassis in turn. */
async function open(
  stack: AsyncDisposableStack,
  instance: NetworkInstance,
  changes: { readonly filters?: readonly FilterRule[]; readonly loadBalancers?: SwitchSpec["loadBalancers"] },
): Promise<readonly Vm[]> {
  stack.defer(() => instance.dispose?.());
  const ovn: DistributedSwitch = instance.implementation;
  const operation = (): OperationContext => createOperationContext({ timeoutMs: 120_000 });
  const plain: PortSetting = {
    vlan: { kind: "access", id: 10 },
    blocked: false,
    security: { promiscuous: false, forgedTransmits: false, macChanges: false },
    dhcp: {
      subnet: "192.0.2.0/24",
      serverAddress: "192.0.2.1",
      serverMac: gateway,
      router: "192.0.2.1",
      dnsServers: [],
      leaseSeconds: 60,
    },
  };
  const group = (key: string, setting: PortSetting) => ({ key, name: key, binding: "static", setting }) as const;
  const spec: SwitchSpec = {
    switchId: "lan",
    name: "lan",
    mtu: 1_400,
    transport: "overlay",
    members: instance.hosts.map((host) => ({ host, uplinks: [] })),
    portGroups: [
      group("servers", plain),
      group("clients", { ...plain, ...(changes.filters && { filters: changes.filters }) }),
    ],
    ...(changes.loadBalancers && { loadBalancers: changes.loadBalancers }),
  };
  await ovn.applySwitch({ spec, generation: 1 }, operation());
  const vms: Vm[] = [];
  for (const [index, last] of [10, 11, 12].entries()) {
    const mac = `52:54:00:00:20:${last}`;
    const address = `192.0.2.${last}`;
    const binding = await ovn.connectPort(
      {
        switchId: "lan",
        portGroup: index === 0 ? "clients" : "servers",
        portKey: `vm-${last}`,
        host: instance.hosts[index % instance.hosts.length] ?? "",
        mac,
        generation: 1,
        addresses: [address],
      },
      operation(),
    );
    const nic = (await instance.openNic?.(binding, mac)) as SuiteNic;
    stack.defer(() => nic.close());
    const heard: Packet[] = [];
    nic.onFrame = (frame) => {
      const packet = decodePacket(Buffer.from(frame));
      if (packet !== undefined) heard.push(packet);
    };
    vms.push({
      mac,
      address,
      heard,
      send: (packet) => nic.send(encodePacket({ from: mac, source: address, ...packet })),
    });
  }
  await expect
    .poll(async () => (await ovn.switchStatus({ switchId: "lan" }, operation())).ports.map(({ link }) => link))
    .toEqual(["up", "up", "up"]);
  return vms;
}

describe.skipIf(missing.length > 0)("OVN's services", () => {
  let fabric: TestFabric;
  beforeAll(async () => {
    fabric = await TestFabric.start();
  });
  afterAll(async () => {
    await fabric[Symbol.asyncDispose]();
  });

  it("filters by prefix, protocol and port, and lets the answers of what may go out come back", async () => {
    await using stack = new AsyncDisposableStack();
    const rule = (name: string, direction: "in" | "out", match: FilterRule["match"], action: FilterRule["action"]) => ({
      ...{ name, direction, match, action },
    });
    const [client, server] = await open(stack, await fabric.instance(), {
      filters: [
        rule("dns", "in", { protocol: 17, destinationPorts: { from: 53, to: 54 } }, { kind: "drop" }),
        rule("web", "in", { destinationPrefix: "192.0.2.11/32", protocol: 6 }, { kind: "accept", related: true }),
        rule("strangers", "out", { sourcePrefix: "192.0.2.0/24" }, { kind: "drop" }),
      ],
    });
    if (client === undefined || server === undefined) throw new Error("there are three VMs");
    const toServer = { to: server.mac, destination: server.address, sourcePort: 4_000 };
    const seen = () => server.heard.map(({ protocol, destinationPort }) => `${protocol} ${destinationPort}`);
    await expect
      .poll(() => {
        client.send({ ...toServer, protocol: "udp", destinationPort: 53 });
        client.send({ ...toServer, protocol: "tcp", destinationPort: 80 });
        client.send({ ...toServer, protocol: "udp", destinationPort: 55 });
        return seen().includes("tcp 80") && seen().includes("udp 55");
      })
      .toBe(true);
    expect(seen().filter((text) => text === "udp 53")).toEqual([]);
    const toClient = { to: client.mac, destination: client.address } as const;
    server.send({ ...toClient, protocol: "udp", sourcePort: 9, destinationPort: 9 });
    // The answer of the connection that the client has opened.
    await expect
      .poll(() => {
        server.send({ ...toClient, protocol: "tcp", sourcePort: 80, destinationPort: 4_000, flags: 18 });
        return client.heard.map(({ protocol, sourcePort }) => `${protocol} ${sourcePort}`).includes("tcp 80");
      })
      .toBe(true);
    expect(client.heard.filter(({ protocol }) => protocol === "udp")).toEqual([]);
  });

  it("spreads connections to a load balancer over its servers, and answers as the balancer", async () => {
    await using stack = new AsyncDisposableStack();
    const balancer = { name: "web", protocol: "tcp", address: "198.51.100.1", port: 80 } as const;
    const backends = ["192.0.2.11", "192.0.2.12"].map((address) => ({ address, port: 8_080 }));
    const [client, ...servers] = await open(stack, await fabric.instance(), {
      loadBalancers: [{ ...balancer, backends }],
    });
    if (client === undefined) throw new Error("there are three VMs");
    let sourcePort = 10_000;
    await expect
      .poll(
        () => {
          sourcePort += 1;
          client.send({
            to: gateway,
            destination: balancer.address,
            protocol: "tcp",
            sourcePort,
            destinationPort: balancer.port,
          });
          return servers.map(({ heard }) => heard.some(({ destinationPort }) => destinationPort === 8_080));
        },
        { interval: 50 },
      )
      .toEqual([true, true]);
    const [server] = servers;
    const asked = server?.heard.find(({ destinationPort }) => destinationPort === 8_080);
    if (server === undefined || asked === undefined) throw new Error("a server was asked");
    expect(asked).toMatchObject({ source: client.address, destination: server.address });
    await expect
      .poll(() => {
        server.send({
          to: client.mac,
          destination: client.address,
          protocol: "tcp",
          sourcePort: 8_080,
          destinationPort: asked.sourcePort,
          flags: 18,
        });
        return client.heard.some(
          ({ source, sourcePort: port }) => source === balancer.address && port === balancer.port,
        );
      })
      .toBe(true);
  });
});
