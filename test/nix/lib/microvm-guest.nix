# A guest of microvm.nix as its options say it, for `settings` of `microvm`.
{ pkgs, settings }:
let
  given = {
    hypervisor = "qemu";
    vcpu = 1;
    mem = 512;
    cpu = null;
    kernel = pkgs.linux;
    initrdPath = "/pkgs/initrd/initrd";
    kernelParams = [ "loglevel=4" "init=/pkgs/toplevel/init" ];
    storeOnDisk = true;
    storeDisk = "/pkgs/microvm-store-disk";
    volumes = [ ];
    shares = [ ];
    interfaces = [ ];
    devices = [ ];
    forwardPorts = [ ];
    hotplugMem = 0;
    hugepageMem = false;
    preStart = "";
    extraArgsScript = null;
    balloon = false;
    initialBalloonMem = 0;
    deflateOnOOM = true;
    credentialFiles = { };
    vmHostPackages = pkgs;
  } // removeAttrs settings [ "qemu" "cloud-hypervisor" "graphics" "vsock" "volumes" ];
  section = name: defaults: defaults // settings.${name} or { };
  volume = { serial = null; direct = false; readOnly = false; label = null; autoCreate = true; mkfsExtraArgs = [ ]; fsType = "ext4"; };
in
{
  system.boot.loader.kernelFile = "bzImage";
  microvm = given // {
    graphics = section "graphics" { enable = false; };
    vsock = section "vsock" { cid = null; };
    qemu = section "qemu" { machine = "microvm"; extraArgs = [ ]; package = pkgs.qemu_kvm; };
    cloud-hypervisor = section "cloud-hypervisor" { extraArgs = [ ]; platformOEMStrings = [ ]; package = pkgs.cloud-hypervisor; };
    firecracker = section "firecracker" { extraArgs = [ ]; package = pkgs.firecracker; };
    crosvm.package = pkgs.crosvm;
    volumes = map (each: volume // each) (settings.volumes or [ ]);
  };
}
