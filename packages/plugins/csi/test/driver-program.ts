// A CSI driver as a program: our own, over a simulator, on the socket that `CSI_ENDPOINT` names.
import { SimulatedWorld } from "@vdc-os/plugin-simulator";
import { serveCsi } from "../src/server/serve-csi.ts";
import { handleOf } from "./csi-pair.ts";
import { simulatedPresenter } from "./simulated-presenter.ts";

const socket = (process.env.CSI_ENDPOINT ?? "").replace("unix://", "");
const { handle } = await handleOf(new SimulatedWorld().storage());
await serveCsi({
  socket,
  provider: handle,
  node: { nodeId: "host-1", directory: `${socket}.node`, presenter: simulatedPresenter },
});
