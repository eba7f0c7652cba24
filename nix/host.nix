# A NixOS host that starts VMs with `slicer run`: those of microvm.nix, whose `microvm@NAME.service` it takes
# over, and VMs of its own as `slicer-vm-NAME.service`. Options become a file of paths and a unit; what may be
# in it, and all that happens, is `slicer run`'s. Values are read by the host's systemd when a unit starts.
{ config, lib, options, pkgs, ... }:
let
  inherit (lib) concatMap filterAttrs mapAttrs' mapAttrsToList mkForce mkIf mkMerge mkOption nameValuePair optional optionalAttrs types;

  cfg = config.services.slicer;
  inherit (import ./run-file.nix { inherit lib; }) runFile secretsOf;
  vmOptions = import ./vm-options.nix { inherit lib; };
  microvmDefaults = import ./microvm-defaults.nix { inherit lib; };

  # What microvm.nix's host module was told, where there is one.
  declared = if options ? microvm.vms then config.microvm.vms else { };
  guestOf = name: vm:
    if vm.flake != null then vm.flake.nixosConfigurations.${name}.config
    else (if vm.evaluatedConfig or null != null then vm.evaluatedConfig else vm.config).config;

  describe = name: given:
    let
      isMicrovm = declared ? ${name};
      microvm = microvmDefaults (guestOf name declared.${name});
      vm = given // optionalAttrs isMicrovm { credentialFiles = microvm.credentialFiles // given.credentialFiles; };
      hasBoot = vm.image != null || vm.kernel != null;
      file = runFile name (if isMicrovm then microvm.runFile else optionalAttrs (!hasBoot) { image = "debian"; }) vm;
      hypervisor = file.hypervisor or "qemu";
    in
    {
      inherit name isMicrovm vm;
      refusals = if isMicrovm then microvm.refusals ++ optional (vm.hypervisor != null) "a hypervisor that is not microvm.hypervisor" else [ ];
      secrets = file.runtimeSecrets or { };
      json = builtins.toJSON file;
      unit = if isMicrovm then "microvm@${name}" else "slicer-vm-${name}";
      programs = cfg.path ++ [ (
        if isMicrovm then microvm.package
        else { qemu = pkgs.qemu_kvm; cloud-hypervisor = pkgs.cloud-hypervisor; firecracker = pkgs.firecracker; }.${hypervisor}
      ) ];
    };
  vms = lib.mapAttrs describe cfg.vms;
  fileOf = name: "slicer/vms/${name}.json";

  # systemd.unit(5): a percent sign begins a specifier.
  escape = builtins.replaceStrings [ "%" ] [ "%%" ];

  serviceOf = { name, json, secrets, ... }: {
    restartTriggers = [ json ];
    serviceConfig = {
      NotifyAccess = "all";
      # Root reads the files, whoever the service runs as; one that is not there keeps the VM from starting.
      LoadCredential = mapAttrsToList (secret: { secretPath, ... }: "${secret}:${escape secretPath}") (filterAttrs (_: value: value ? secretPath) secrets);
      # SIGTERM is for `slicer run` alone, which asks the guest; the VMM would just end.
      KillMode = "mixed";
      RuntimeDirectory = "slicer-${name}";
      # Others may pass through it, not list it: a VM that root starts has a user and a directory of its own in it.
      RuntimeDirectoryMode = "0711";
    };
  };
  command = name: "${cfg.program} run /etc/${fileOf name}";

  microvmService = vm: mkMerge [
    (serviceOf vm)
    {
      overrideStrategy = "asDropin";
      # microvm.nix leaves `path` empty by force.
      environment.PATH = lib.makeBinPath vm.programs;
      serviceConfig = {
        Type = mkForce "notify";
        # The first of each clears what microvm@.service has: its own runner, and a script that speaks to that.
        ExecStart = [ "" (command vm.name) ];
        ExecStop = [ "" ];
      };
    }
  ];

  ownService = vm: mkMerge [
    (serviceOf vm)
    {
      description = "VM ${vm.name}";
      wantedBy = optional vm.vm.autostart "multi-user.target";
      after = [ "network.target" ];
      path = vm.programs;
      serviceConfig = {
        Type = "notify";
        ExecStart = command vm.name;
        StateDirectory = "slicer/vms/${vm.name}";
        StateDirectoryMode = "0700";
        WorkingDirectory = "/var/lib/slicer/vms/${vm.name}";
        UMask = "0077";
        TimeoutStartSec = "5min";
        TimeoutStopSec = "2min";
        Restart = "on-failure";
        RestartSec = "5s";
      } // optionalAttrs (cfg.user != null) { User = cfg.user; };
    }
  ];

  # Never with the path itself: somebody may have put a value there.
  secretFaults = { name, vm, ... }: concatMap
    ({ secret, value }:
      let path = value.secretPath or null; in
      if path == null then [ "services.slicer.vms.${name}: secret \"${secret}\" has no secretPath, and nothing makes its value here" ]
      else if ! lib.hasPrefix "/" path then [ "services.slicer.vms.${name}: secret \"${secret}\": secretPath is no absolute path" ]
      else if lib.hasPrefix "${builtins.storeDir}/" path then [ "services.slicer.vms.${name}: secret \"${secret}\": secretPath is in ${builtins.storeDir}, which all may read" ]
      else [ ])
    (mapAttrsToList (secret: value: { inherit secret value; }) (secretsOf vm));
  doubleFaults = { name, vm, ... }: map
    (secret: "services.slicer.vms.${name}: \"${secret}\" is in runtimeSecrets and in credentialFiles")
    (lib.attrNames (builtins.intersectAttrs vm.runtimeSecrets vm.credentialFiles));
  refusalFaults = { name, refusals, ... }: map (what: "VM ${name}: slicer run does not take over ${what}") refusals;
in
{
  options.services.slicer = {
    enable = lib.mkEnableOption "VMs that are started with `slicer run`";
    program = mkOption {
      type = types.str;
      example = "/opt/slicer/bin/slicer";
      description = "Where `slicer` is.";
    };
    path = mkOption {
      type = types.listOf types.unspecified;
      default = [ pkgs.nodejs pkgs.util-linux pkgs.systemd pkgs.e2fsprogs ] ++ optional (pkgs ? vhost-device-vsock) pkgs.vhost-device-vsock;
      description = "Packages with the programs that `slicer run` calls, besides the hypervisor.";
    };
    user = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "Who runs VMs that are not microvm.nix's; null: root.";
    };
    vms = mkOption {
      type = types.attrsOf (types.submodule {
        options = vmOptions.vm { } // {
          inherit (vmOptions) credentialFiles;
          autostart = mkOption {
            type = types.bool;
            default = true;
            description = "Whether the host starts it when it boots. A VM of microvm.nix has that option there.";
          };
        };
      });
      default = { };
      description = "VMs by name. One that microvm.vms has too is that one, and says here only what differs.";
    };
  };

  config = mkIf cfg.enable {
    assertions = map (message: { assertion = false; inherit message; })
      (concatMap (vm: secretFaults vm ++ doubleFaults vm ++ refusalFaults vm) (lib.attrValues vms));
    environment.etc = mapAttrs' (name: { json, ... }: nameValuePair (fileOf name) { text = json; mode = "0444"; }) vms;
    systemd.services = mapAttrs' (_: vm: nameValuePair vm.unit ((if vm.isMicrovm then microvmService else ownService) vm)) vms;
  };
}
