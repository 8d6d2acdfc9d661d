/** The least that a process on Node.js can do with a UDP packet: it comes in, and it goes out. Its port is its first message. */
import { createSocket } from "node:dgram";

const target = { port: Number(process.argv[2]), address: "127.0.0.1" };
const socket = createSocket("udp4");
socket.on("message", (datagram) => socket.send(datagram, target.port, target.address));
socket.bind(0, "127.0.0.1", () => process.send?.(socket.address().port));
process.on("message", () => {
  const { user, system } = process.cpuUsage();
  process.send?.(user + system);
});
process.on("disconnect", () => process.exit(0));
