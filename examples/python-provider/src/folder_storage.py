"""The vStorage API (vdc.storage 1.0) on a folder of raw files, in Python's standard library alone."""
import json
import os
import time

from vdc_plugin import VdcError, serve


class FolderStorage:
    """Every call does its work in one go, one after the other, and what it answered is on disk by then."""

    def __init__(self, config):
        self.pool, self.folder, self.total = config["name"], config["directory"], config["capacityBytes"]
        names = ("describe createVolume deleteVolume getVolume listVolumes capacity attachVolume detachVolume "
                 "revokeAttachment getAttachment health")  # fmt: skip
        self.operations = {name: getattr(self, name) for name in names.split()}
        os.makedirs(self.folder, exist_ok=True)
        self.table = os.path.join(self.folder, "volumes.json")
        self.volumes = {}
        if os.path.exists(self.table):
            with open(self.table) as file:
                self.volumes = json.load(file)
        for name in os.listdir(self.folder):  # A kill may leave a file that no record names.
            if name.endswith(".raw") and name[:-4] not in self.volumes:
                os.remove(os.path.join(self.folder, name))

    def describe(self, given):
        implementation = {"name": "@acme/vdc-python-storage", "version": "1.0.0", "simulated": False}
        return {"implementation": implementation, "facets": {}, "attributes": {"pool": self.pool, "fencing": "none", "pid": os.getpid()}}

    def createVolume(self, given):
        asked = {key: given.get(key) for key in ("name", "capacityBytes", "owner")}
        for parameter in given.get("parameters", {}):
            raise VdcError("INVALID_ARGUMENT", f"there is no parameter '{parameter}'")
        if given["capacityBytes"] == 0:
            raise VdcError("OUT_OF_RANGE", "a volume has at least one byte")
        for id, volume in self.volumes.items():
            if volume["name"] == given["name"]:
                if all(volume[key] == value for key, value in asked.items()):
                    return self.show(id)
                raise VdcError("ALREADY_EXISTS", f"there is a volume '{given['name']}' of another spec")
        left = self.total - self.promised()
        if given["capacityBytes"] > left:
            raise VdcError("RESOURCE_EXHAUSTED", f"the pool has {left} bytes left")
        id = os.urandom(16).hex()
        with open(self.path(id), "wb") as file:  # The file comes first: a record never promises what is not there.
            file.truncate(given["capacityBytes"])
            os.fsync(file.fileno())
        os.chmod(self.path(id), 0o600)
        self.save({**self.volumes, id: {**asked, "createdAt": int(time.time() * 1000), "highest": 0, "attached": None}})
        return self.show(id)

    def deleteVolume(self, given):
        volume = self.volumes.get(given["volumeId"])
        if volume is not None:
            if volume["attached"]:
                host = volume["attached"]["host"]
                blockers = [{"kind": "host", "name": host}]
                raise VdcError("FAILED_PRECONDITION", f"volume '{volume['name']}' is attached to host '{host}'", blockers=blockers)
            self.save({id: volume for id, volume in self.volumes.items() if id != given["volumeId"]})
            os.remove(self.path(given["volumeId"]))

    def getVolume(self, given):
        self.find(given)
        return self.show(given["volumeId"])

    def listVolumes(self, given):
        limit, token, datacenter = given.get("limit", 100), given.get("pageToken", "after:"), given.get("ownerDatacenter")
        if not token.startswith("after:"):
            raise VdcError("ABORTED", "the page token is unknown: begin again")
        found = [(volume["name"], id) for id, volume in self.volumes.items()
                 if "after:" + volume["name"] > token and given.get("name", volume["name"]) == volume["name"]
                 and (datacenter is None or (volume["owner"] or {}).get("datacenter") == datacenter)]  # fmt: skip
        page = sorted(found)[:limit]
        more = {"nextPageToken": "after:" + page[-1][0]} if len(found) > limit else {}
        return {"items": [self.show(id) for _, id in page], **more}

    def capacity(self, given):
        if given.get("pool", self.pool) != self.pool:
            raise VdcError("NOT_FOUND", f"there is no pool '{given['pool']}'")
        taken = sum(self.taken(id) for id in self.volumes)
        rest = {"reservedBytes": 0, "maxOverSubscription": 1, "alarms": []}
        free = max(0, self.total - taken)
        return {"totalBytes": self.total, "freeBytes": free, "allocatedBytes": taken, "provisionedBytes": self.promised(), **rest}

    def attachVolume(self, given):
        volume, host, access, generation = self.find(given), given["host"], given["access"], given["generation"]
        wanted = {"host": host, "access": access}
        if volume["attached"] is None or generation != volume["highest"]:
            if generation <= volume["highest"]:
                raise VdcError("FAILED_PRECONDITION", f"attachment generation {generation} is fenced", reason="VDC_FENCED")
            self.change(given, highest=generation, attached=wanted)
        elif volume["attached"] != wanted:
            raise VdcError("FAILED_PRECONDITION", f"volume '{volume['name']}' is attached otherwise")
        return self.getAttachment(given)["attachment"]

    def detachVolume(self, given):
        volume = self.volumes.get(given["volumeId"], {"attached": None})
        if volume["attached"] and (volume["attached"]["host"], volume["highest"]) == (given["host"], given["generation"]):
            self.change(given, attached=None)

    def revokeAttachment(self, given):
        if given["generation"] >= self.find(given)["highest"]:
            self.change(given, highest=given["generation"], attached=None)

    def getAttachment(self, given):
        volume, id = self.find(given), given["volumeId"]
        if volume["attached"] is None:
            return {}
        transport = {"kind": "file", "path": self.path(id), "format": "raw"}
        loses = {"fencing": "the VM monitor opens the file itself, and nothing can take it away again"}
        rest = {"generation": volume["highest"], "transport": transport, "fencing": "none", "loses": loses}
        return {"attachment": {"volumeId": id, **volume["attached"], **rest}}

    def health(self, given):
        if "volumeId" in given:
            self.find(given)
        return {"condition": "healthy", "message": "the folder can be read"}

    def find(self, given):
        if given["volumeId"] not in self.volumes:
            raise VdcError("NOT_FOUND", f"there is no volume '{given['volumeId']}'")
        return self.volumes[given["volumeId"]]

    def show(self, id):
        volume, taken = self.volumes[id], self.taken(id)
        owner = {"owner": volume["owner"]} if volume["owner"] else {}
        sizes = {"capacityBytes": volume["capacityBytes"], "allocatedBytes": taken, "exclusiveBytes": taken}
        return {"volumeId": id, "name": volume["name"], **sizes, "createdAt": volume["createdAt"], "parameters": {}, **owner}

    def change(self, given, **changes):
        volume = {**self.find(given), **changes}
        read_only = volume["attached"] is not None and volume["attached"]["access"] == "readOnly"
        os.chmod(self.path(given["volumeId"]), 0o400 if read_only else 0o600)
        self.save({**self.volumes, given["volumeId"]: volume})

    def save(self, volumes):
        with open(self.table + ".new", "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump(volumes, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(self.table + ".new", self.table)
        folder = os.open(self.folder, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        self.volumes = volumes

    def path(self, id):
        return os.path.join(self.folder, id + ".raw")

    def taken(self, id):
        return os.stat(self.path(id)).st_blocks * 512

    def promised(self):
        return sum(volume["capacityBytes"] for volume in self.volumes.values())


serve(lambda config: {("vdc.storage", "1.0", config["name"]): FolderStorage(config)})
