/** The other end of the pipe: a bare JSON-RPC echo, or a provider that is served over it. Ends with its standard input. */
import { createMessageConnection, StreamMessageReader, StreamMessageWriter } from "vscode-jsonrpc/node";
import { ProviderDirectory, serveProviders } from "../src/remote/index.ts";
import { defineGreeter, PlainGreeter } from "./greeter.ts";

const greeter = new PlainGreeter("hello");

if (process.argv[2] === "bare") {
  const connection = createMessageConnection(
    new StreamMessageReader(process.stdin),
    new StreamMessageWriter(process.stdout),
  );
  connection.onRequest("greet", (input: { readonly name: string }) => greeter.greet(input));
  connection.listen();
} else {
  const providers = new ProviderDirectory();
  providers.add(defineGreeter("bench.greeter"), "plain", greeter);
  serveProviders({ readable: process.stdin, writable: process.stdout }, providers);
}
process.stdin.on("end", () => process.exit(0));
