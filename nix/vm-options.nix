# The options of one VM: the keys of the file for `slicer run`, in its words. An option that is not set stays
# out of the file, so that defaults, limits and what goes with what are said in one place, which is not here.
{ lib }:
let
  inherit (lib) mkOption types;

  given = type: description: mkOption {
    type = types.nullOr type;
    default = null;
    inherit description;
  };
  group = description: options: mkOption {
    type = types.listOf (types.submodule { inherit options; });
    default = [ ];
    inherit description;
  };

  # Not a path: a path of Nix would be copied into the store, which all may read.
  hostPath = types.str;

  runtimeSecret = {
    secretPath = given hostPath "The file of the host that has the value, as a string. It is read when the VM starts.";
    oemCredentialName = given types.str "What the guest calls the credential; else the name of the secret.";
    trimNewline = given types.bool "Whether one newline at the value's end is left out.";
    allowEmpty = given types.bool "Whether a value of 0 bytes is meant.";
    allowReserved = given types.bool "Whether a name is meant that systemd in the guest acts on by itself.";
    deliver = given (types.enum [ "boot" "live" "both" ]) "Over the firmware, over VSOCK, or both.";
  };
in
{
  inherit runtimeSecret;

  # `extraSecretOptions`: what a secret has besides.
  vm = extraSecretOptions: {
    hypervisor = given (types.enum [ "qemu" "cloud-hypervisor" "firecracker" ]) "What runs the VM.";
    machine = given (types.enum [ "q35" "microvm" ]) "QEMU's machine.";
    vcpu = given types.int "Processors.";
    mem = given types.int "Memory in MiB.";
    image = given (types.enum [ "tiny" "debian" ]) "An image of Slicer's own.";
    kernel = given hostPath "The kernel of a guest of one's own.";
    initrd = given hostPath "Its initramfs.";
    cmdline = given types.str "Its command line, which all in the guest may read.";
    volumes = group "Disks." {
      image = mkOption { type = types.str; description = "Path of the raw disk; a relative one is in the VM's state directory."; };
      mountPoint = given types.str "Where the guest mounts it.";
      size = given types.int "MiB, for when the disk is made.";
      fsType = given types.str "The file system that is made.";
      label = given types.str "Its label.";
      autoCreate = given types.bool "Whether it is made where it is not there.";
      readOnly = given types.bool "Whether the guest may only read it.";
    };
    shares = group "virtiofs shares, whose virtiofsd is started by somebody else." {
      tag = mkOption { type = types.str; description = "What the guest mounts."; };
      socket = mkOption { type = types.str; description = "The virtiofsd's socket."; };
      source = given types.str "The directory of the host.";
      mountPoint = given types.str "Where the guest mounts it.";
      proto = given (types.enum [ "virtiofs" ]) "virtiofs.";
    };
    interfaces = group "Network interfaces." {
      type = mkOption { type = types.enum [ "tap" "macvtap" "user" ]; description = "Its kind."; };
      id = given types.str "The interface of the host.";
      mac = given types.str "The guest's address.";
    };
    vsock = {
      cid = given types.int "The guest's address, 3 or more.";
      socket = given hostPath "Where the guest's connections to port P arrive, with _P.";
    };
    balloon = given (types.either types.bool (types.submodule {
      options = {
        size = given types.int "MiB.";
        deflateOnOOM = given types.bool "Whether a guest out of memory gets it back.";
        freePageReporting = given types.bool "Whether the guest gives back what it does not use.";
      };
    })) "A memory balloon.";
    watchdog = given types.bool "Whether a guest that stops feeding its watchdog is reset.";
    runtimeSecrets = mkOption {
      type = types.attrsOf (types.submodule { options = runtimeSecret // extraSecretOptions; });
      default = { };
      description = "Secrets, read when the VM starts.";
    };
    staticOEMStrings = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "Strings for the firmware's tables that are no secrets: they are in the store, which all may read.";
    };
  };

  credentialFiles = mkOption {
    type = types.attrsOf hostPath;
    default = { };
    description = "Credentials by name, and the file of the host that has each: microvm.nix's option, here for every hypervisor.";
  };
}
