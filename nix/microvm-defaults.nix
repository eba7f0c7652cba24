# What a VM of microvm.nix is, in the words of the file for `slicer run`. `guest` is its evaluated
# configuration. microvm.nix's own units still make its taps and start its virtiofsd, and the files that it
# names are below its state directory, where `slicer run` starts.
{ lib }:
guest:
let
  inherit (lib) optional optionalAttrs;
  vm = guest.microvm;
  isQemu = vm.hypervisor == "qemu";
  isX86 = vm.vmHostPackages.stdenv.hostPlatform.system == "x86_64-linux";

  # As microvm.nix's runners have it.
  cmdline =
    if vm.hypervisor == "firecracker" then "console=ttyS0,115200 reboot=k panic=1 i8042.noaux i8042.nomux i8042.nopnp i8042.dumbkbd"
    else "${if isX86 then "earlyprintk=ttyS0 console=ttyS0" else "console=ttyAMA0"} reboot=t panic=-1";
in
{
  # In words for whoever declared it; empty where `slicer run` can start it.
  refusals = map (what: "microvm.${what}")
    (optional (! builtins.elem vm.hypervisor [ "qemu" "cloud-hypervisor" "firecracker" ]) "hypervisor = \"${vm.hypervisor}\""
    ++ optional (isQemu && ! builtins.elem vm.qemu.machine [ "q35" "microvm" ]) "qemu.machine = \"${vm.qemu.machine}\""
    ++ optional (vm.cpu != null) "cpu"
    ++ optional (vm.devices != [ ]) "devices"
    ++ optional (vm.forwardPorts != [ ]) "forwardPorts"
    ++ optional (vm.hotplugMem != 0) "hotplugMem"
    ++ optional vm.hugepageMem "hugepageMem"
    ++ optional vm.graphics.enable "graphics"
    ++ optional (vm.preStart != "") "preStart"
    ++ optional (vm.extraArgsScript != null) "extraArgsScript"
    ++ optional (isQemu && vm.qemu.extraArgs != [ ]) "qemu.extraArgs"
    ++ optional (vm.hypervisor == "cloud-hypervisor" && vm.cloud-hypervisor.extraArgs != [ ]) "cloud-hypervisor.extraArgs"
    ++ optional (vm.hypervisor == "firecracker" && vm.firecracker.extraArgs != [ ]) "firecracker.extraArgs"
    ++ optional (lib.any ({ type, ... }: type == "bridge") vm.interfaces) "interfaces of type \"bridge\""
    ++ optional (lib.any ({ proto, ... }: proto != "virtiofs") vm.shares) "shares of proto \"9p\""
    ++ optional (lib.any (volume: volume.serial != null || volume.direct || volume.mkfsExtraArgs != [ ] || volume.imageType or "raw" != "raw") vm.volumes)
      "volumes with serial, direct, mkfsExtraArgs or imageType"
    # The tap is made for several queues then, and QEMU is given one.
    ++ optional (isQemu && vm.vcpu > 1 && lib.any ({ type, ... }: type == "tap") vm.interfaces) "interfaces of type \"tap\" with QEMU and more than one vcpu");

  # Has the VMM.
  package = vm.${vm.hypervisor}.package;

  # A path of Nix that became JSON would be copied into the store.
  credentialFiles = builtins.mapAttrs (_: toString) vm.credentialFiles;

  runFile = {
    inherit (vm) hypervisor vcpu mem;
    kernel = if isQemu || ! isX86 then "${vm.kernel.out}/${guest.system.boot.loader.kernelFile}" else "${vm.kernel.dev}/vmlinux";
    initrd = "${vm.initrdPath}";
    cmdline = "${cmdline} ${toString vm.kernelParams}";
    # Its own first: a guest without labels counts them.
    volumes = optional vm.storeOnDisk { image = "${vm.storeDisk}"; readOnly = true; autoCreate = false; }
      ++ map
        (volume: {
          inherit (volume) image readOnly autoCreate fsType;
        } // optionalAttrs volume.autoCreate { inherit (volume) size; }
        // optionalAttrs (volume.label != null) { inherit (volume) label; })
        vm.volumes;
    shares = map ({ tag, socket, ... }: { inherit tag socket; }) vm.shares;
    interfaces = map ({ type, mac, ... }@interface: { inherit type mac; } // optionalAttrs (type != "user") { inherit (interface) id; }) vm.interfaces;
    watchdog = vm.hypervisor == "cloud-hypervisor";
  }
  // optionalAttrs isQemu { inherit (vm.qemu) machine; }
  // optionalAttrs (vm.vsock.cid != null) { vsock = { inherit (vm.vsock) cid; }; }
  // optionalAttrs vm.balloon { balloon = { size = vm.initialBalloonMem; inherit (vm) deflateOnOOM; }; }
  // optionalAttrs (vm.cloud-hypervisor.platformOEMStrings != [ ]) { staticOEMStrings = vm.cloud-hypervisor.platformOEMStrings; };
}
